"""Types of Keras that a model's configuration may name.

Exact names only, as Keras 3 writes them: pure computation over arrays. Not on the list, though
Keras would load them in safe mode: what reads files (``TFSMLayer``, ``StringLookup``,
``TextVectorization``), what holds another library's code (``TorchModuleWrapper``, ``JaxLayer``),
``Lambda``, and every function that is no activation.
"""

from __future__ import annotations

__all__ = ["TRUSTED_TYPES"]

_MODELS = (
    "keras.Model",
    "keras.Sequential",
    "keras.src.models.functional.Functional",
)
_LAYERS = """
    Activation ActivityRegularization Add AdditiveAttention AlphaDropout Attention Average
    AveragePooling1D BatchNormalization Bidirectional CategoryEncoding Concatenate Conv1D
    Cropping1D Dense DepthwiseConv1D Discretization Dot Dropout ELU EinsumDense Embedding
    Flatten GRU GRUCell GaussianDropout GaussianNoise GlobalAveragePooling1D GlobalMaxPooling1D
    GroupNormalization GroupQueryAttention Identity InputLayer LSTM LSTMCell LayerNormalization
    LeakyReLU Masking MaxPooling1D Maximum Minimum MultiHeadAttention Multiply Normalization
    PReLU Permute RMSNormalization RNN ReLU RepeatVector Rescaling Reshape SeparableConv1D
    SimpleRNN SimpleRNNCell Softmax SpatialDropout1D SpectralNormalization StackedRNNCells
    Subtract TimeDistributed UnitNormalization UpSampling1D ZeroPadding1D
"""
_INITIALIZERS = """
    Constant GlorotNormal GlorotUniform HeNormal HeUniform Identity LecunNormal LecunUniform
    Ones Orthogonal RandomNormal RandomUniform TruncatedNormal VarianceScaling Zeros
"""
_ACTIVATIONS = """
    celu elu exponential gelu glu hard_shrink hard_sigmoid hard_silu hard_tanh leaky_relu
    linear log_sigmoid log_softmax mish relu relu6 selu sigmoid silu soft_shrink softmax
    softplus softsign sparse_plus sparse_sigmoid sparsemax squareplus tanh tanh_shrink
    threshold
"""
_REST = (
    "keras.DTypePolicy",
    "keras.constraints.MaxNorm",
    "keras.constraints.MinMaxNorm",
    "keras.constraints.NonNeg",
    "keras.constraints.UnitNorm",
    "keras.random.SeedGenerator",
    "keras.regularizers.L1",
    "keras.regularizers.L1L2",
    "keras.regularizers.L2",
    "keras.regularizers.OrthogonalRegularizer",
)
# what operators and keras.ops leave in a model
_OPERATIONS = {
    "numpy": """
        Abs Absolute Add Amax Amin Arctan Argmax Argmin Average Ceil Clip Concatenate Cos Cosh
        Cumsum Divide DivideNoNan Dot Einsum Equal Exp ExpandDims Expm1 Flip Floor FloorDivide
        GetItem Greater GreaterEqual Isfinite Isinf Isnan Less LessEqual Log Log10 Log1p Log2
        Logaddexp LogicalAnd LogicalNot LogicalOr Matmul Max Maximum Mean Min Minimum Mod
        Moveaxis Multiply NanToNum Negative NotEqual OnesLike Power Prod Ravel Reciprocal
        Reshape Roll Round Sign Sin Sinh Split Sqrt Square Squeeze Stack Std Subtract Sum
        Swapaxes Take Tan Tanh Transpose TrueDivide Trunc Var Where ZerosLike
    """,
    "nn": """
        Celu Elu Gelu Glu HardSigmoid HardSilu HardTanh LeakyRelu LogSigmoid LogSoftmax
        Normalize OneHot Relu Relu6 Selu Sigmoid Silu Softmax Softplus Softsign
    """,
    "math": "Erf Logsumexp Rsqrt TopK",
    "core": "Cast StopGradient Unstack",
}

TRUSTED_TYPES: frozenset[str] = frozenset(
    (
        *_MODELS,
        *_REST,
        *(f"keras.layers.{name}" for name in _LAYERS.split()),
        *(f"keras.initializers.{name}" for name in _INITIALIZERS.split()),
        *(f"keras.activations.{name}" for name in _ACTIVATIONS.split()),
        *(
            f"keras.src.ops.{at}.{name}"
            for at, names in _OPERATIONS.items()
            for name in names.split()
        ),
    )
)

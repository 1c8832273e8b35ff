"""Operators that a program in a file may name.

Exact names only: each computes new values from those it is given. None writes to its inputs,
draws random numbers, opens a file, or hands out memory that nobody has written. What trains
(``native_dropout``), looks into memory by steps of its own (``as_strided``) or answers by chance
is not among them. A program also names the arithmetic of sizes, which is here done in Python.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from palio.artifacts.flavors import needed
from palio.artifacts.flavors.torch.lookups import LOOKUPS

__all__ = ["INSTEAD", "LARGEST_SIZE", "OPERATORS", "SIZES"]

LARGEST_SIZE = 2**63 - 1

_NUMBERS = """
abs.default add.Scalar add.Tensor addcdiv.default addcmul.default all.default all.dim amax.default
amin.default any.default any.dim argmax.default argmin.default atan.default bitwise_and.Tensor
bitwise_not.default bitwise_or.Tensor ceil.default clamp.default clamp.Tensor clamp_max.default
clamp_min.default cos.default cumsum.default div.Scalar div.Scalar_mode div.Tensor div.Tensor_mode
eq.Scalar eq.Tensor erf.default exp.default expm1.default floor.default floor_divide.default
fmod.Scalar fmod.Tensor ge.Scalar ge.Tensor gt.Scalar gt.Tensor isfinite.default isinf.default
isnan.default le.Scalar le.Tensor lerp.Scalar lerp.Tensor linalg_vector_norm.default log.default
log10.default log1p.default log2.default logical_and.default logical_not.default
logical_or.default logsumexp.default lt.Scalar lt.Tensor max.default max.dim maximum.default
mean.default mean.dim min.default min.dim minimum.default mul.Scalar mul.Tensor nan_to_num.default
ne.Scalar ne.Tensor neg.default norm.ScalarOpt_dim pow.Scalar pow.Tensor_Scalar
pow.Tensor_Tensor prod.default prod.dim_int reciprocal.default remainder.Scalar remainder.Tensor
round.default rsqrt.default rsub.Scalar rsub.Tensor sign.default sin.default sqrt.default
square.default std.correction std.dim sub.Scalar sub.Tensor sum.default sum.dim_IntList
tan.default trunc.default var.correction var.dim var_mean.correction where.ScalarOther
where.ScalarSelf where.self
"""
_LAYERS = """
adaptive_avg_pool1d.default avg_pool1d.default max_pool1d.default
adaptive_avg_pool2d.default avg_pool2d.default max_pool2d.default
_native_batch_norm_legit_no_training.default _safe_softmax.default _softmax.default
addmm.default alpha_dropout.default baddbmm.default batch_norm.default bilinear.default
bmm.default celu.default conv1d.default conv2d.default convolution.default dot.default
dropout.default einsum.default elu.default embedding.default feature_dropout.default
gelu.default glu.default group_norm.default hardsigmoid.default hardswish.default
hardtanh.default layer_norm.default leaky_relu.default linear.default
log_sigmoid.default log_softmax.int matmul.default mish.default mm.default mv.default
prelu.default relu.default relu6.default
rms_norm.default scaled_dot_product_attention.default selu.default sigmoid.default silu.default
softmax.int softplus.default softshrink.default tanh.default threshold.default
_log_softmax.default
"""
_SHAPES = """
_assert_tensor_metadata.default _to_copy.default _unsafe_view.default alias.default arange.default
arange.start arange.start_step broadcast_to.default cat.default chunk.default clone.default
concat.default constant_pad_nd.default contiguous.default detach.default expand.default
expand_as.default flatten.using_ints flip.default full.default full_like.default gather.default
hstack.default index.Tensor index_select.default lift_fresh_copy.default masked_fill.Scalar
masked_fill.Tensor movedim.int narrow.default numpy_T.default one_hot.default ones.default
ones_like.default pad.default permute.default repeat.default reshape.default roll.default
scalar_tensor.default select.int slice.Tensor split.Tensor split_with_sizes.default
squeeze.default squeeze.dim squeeze.dims stack.default sym_size.int t.default tile.default
to.device to.dtype to.dtype_layout topk.default transpose.int tril.default triu.default
type_as.default unbind.int unflatten.int unsqueeze.default view.default vstack.default
zeros.default zeros_like.default
"""

OPERATORS: frozenset[str] = frozenset(
    f"torch.ops.aten.{name}" for name in (_NUMBERS + _LAYERS + _SHAPES).split()
)


def _of_sizes(compute: Callable[..., int]) -> Callable[..., int]:
    def bounded(*sizes: int) -> int:
        if (found := compute(*sizes)) and abs(found) > LARGEST_SIZE:
            raise ValueError("a size is larger than any memory")
        return found

    return bounded


SIZES: Mapping[str, Callable[..., Any]] = {
    f"_operator.{name}": _of_sizes(getattr(operator, name))
    for name in ("add", "floordiv", "mod", "mul", "neg", "sub")
}
"""The arithmetic of sizes: names as in a file, and what computes them within bounds."""


def _batch_norm(*given: Any) -> tuple[Any, None, None]:
    *values, momentum, eps = given
    compute = needed("torch", extra="torch").ops.aten.batch_norm.default
    return compute(*values, False, momentum, eps, False), None, None  # noqa: FBT003  not training


_WIDEST_WINDOW = 4_096


def _pooled(name: str) -> Callable[..., Any]:
    """Return a pooling whose windows no arithmetic of a kernel overflows by."""

    def bounded(rows: Any, *sizes: Any, **named: Any) -> Any:
        windows = [one for one in (*sizes, *named.values()) if isinstance(one, list | tuple)]
        if any(not 0 <= size <= _WIDEST_WINDOW for window in windows for size in window):
            raise ValueError(f"{name} has windows outside of 0 to {_WIDEST_WINDOW}")
        return getattr(needed("torch", extra="torch").ops.aten, name).default(
            rows, *sizes, **named
        )

    return bounded


INSTEAD: Mapping[str, Callable[..., Any]] = {
    **LOOKUPS,
    "torch.ops.aten._native_batch_norm_legit_no_training.default": _batch_norm,
    **{
        f"torch.ops.aten.{name}.default": _pooled(name)
        for name in ("adaptive_avg_pool2d", "avg_pool2d", "max_pool2d")
    },
}
"""What computes the same and compares sizes and indices first, where a kernel does not."""

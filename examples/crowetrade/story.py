"""The document's story, from a trained model to the end of a test, in an empty folder.

Before, its first line was ``from crowetrade.models import …``. Run it: ``python story.py``.
"""

import numpy as np
from sklearn.linear_model import Ridge

from palio.dialects.crowetrade import (
    ABTestEngine,
    AllocationStrategy,
    ModelRegistry,
    ModelStatus,
    ModelType,
    create_ab_test,
    create_model_metadata,
)

rng = np.random.default_rng(7)
features = ["returns", "volume", "volatility"]
market = rng.normal(size=(500, 3))
tomorrow = 0.02 * market[:, 0] + rng.normal(0, 0.03, size=500)

# -- the registry

registry = ModelRegistry("registry")
metadata = create_model_metadata(
    model_id="signal_v1",
    name="Signal Generation Model v1",
    version="1.0.0",
    model_type=ModelType.SIGNAL,
    created_by="data_scientist",
    description="LSTM-based signal generation",
    input_features=features,
    output_schema={"signal": "float", "confidence": "float"},
    framework="tensorflow",
    backtest_sharpe=1.8,
    backtest_returns=0.25,
)
registry_id = registry.register_model(
    model_object=Ridge().fit(market, tomorrow),
    metadata=metadata,
    policy_config={"position_size": 0.02, "max_leverage": 3.0},
)
model, metadata = registry.get_model("signal_v1")  # latest version
model, metadata = registry.get_model("signal_v1", "1.0.0")  # specific version
print(
    f"{registry_id} predicts {model.predict(market[:1])[0]:+.4f}, policy {metadata.policy_config}"
)

registry.promote_model("signal_v1:1.0.0", ModelStatus.TESTING)
registry.promote_model("signal_v1:1.0.0", ModelStatus.STAGING)
registry.promote_model("signal_v1:1.0.0", ModelStatus.PRODUCTION, approved_by="lead_quant")
for entry in registry.audit("signal_v1"):
    print(f"  {entry['actor']}: {entry['action']} {entry['subject']} {entry['reason']}")

# -- two architectures, which take different rows

for name, columns in (("signal_lstm", 1), ("signal_transformer", 3)):
    registry.register_model(
        model_object=Ridge().fit(market[:, :columns], tomorrow),
        metadata=create_model_metadata(
            model_id=name,
            name=name,
            version="1.0.0",
            model_type=ModelType.SIGNAL,
            created_by="research_team",
            input_features=features[:columns],
        ),
    )

# -- the test

ab_engine = ABTestEngine(registry, "ab_tests")
test_config = create_ab_test(
    test_id="signal_comparison_001",
    name="LSTM vs Transformer Signal Models",
    description="Comparing LSTM and Transformer architectures",
    model_registry_ids=["signal_lstm:1.0.0", "signal_transformer:1.0.0"],
    created_by="research_team",
    allocation_strategy=AllocationStrategy.THOMPSON_SAMPLING,
    minimum_sample_size=100,  # the document has 1000; this way the story ends sooner
    max_allocation_per_arm=0.6,  # so does this
    max_duration_days=30,
)
test_id = ab_engine.create_test(test_config)

brings = {"signal_lstm:1.0.0": 0.0, "signal_transformer:1.0.0": 0.03}
for number in range(1, 1_501):
    model_id = ab_engine.get_model_allocation(test_id)
    ab_engine.record_result(
        test_id=test_id,
        model_registry_id=model_id,
        return_value=float(rng.normal(brings[model_id], 0.05)),
        additional_metrics={"latency_ms": 15, "confidence": 0.85},
    )
    if number % 50 == 0 and ab_engine.get_test_results(test_id)["status"] != "running":
        break

results = ab_engine.get_test_results(test_id)
print(f"Test Status: {results['status']}")
print(f"Total Requests: {results['total_requests']}")
for arm in results["arms"]:
    print(f"Arm {arm['arm_id']}: {arm['mean_return']:.4f} ± {arm['std_return']:.4f}")
    print(f"  Sharpe Ratio: {arm['sharpe_ratio']:.2f}")
    print(f"  Win Rate: {arm['win_rate']:.2%}")
if "significance_test" in results:
    sig = results["significance_test"]
    print(f"Significant: {sig['significant']}")
    print(f"P-value: {sig['p_value']:.4f}")
    print(f"Winner: {sig['winner']}")
print(f"The next request gets {ab_engine.get_model_allocation(test_id)}")

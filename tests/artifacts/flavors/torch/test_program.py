"""Hostile and foreign ``.pt2`` files: refused with a reason, nothing run.

That PyTorch's own loader runs the code in some of them is asserted too: it is why it is not used.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from palio.artifacts.flavors.torch import TorchFlavor
from palio.artifacts.flavors.torch.exporting import exported
from palio.errors import InvalidInput, UntrustedArtifact

from .models import (
    INPUTS,
    Attentive,
    changed,
    content_of,
    expected,
    marking,
    marking_pickle,
    network,
    nn,
    packed,
    parts,
    program,
    torch,
)

FLAVOR = TorchFlavor()
MODEL = network(2, nn.Softmax(1)).eval()
GOOD = content_of(program(MODEL))
GRAPH, WEIGHTS = "models/model.json", "model_weights_config.json"


def restored(content: bytes, *trusted: str) -> Any:
    return TorchFlavor(trusted).restore({"model.pt2": content})


def run_by_torch(content: bytes) -> None:
    # what it does before it fails is what counts
    with warnings.catch_warnings(), suppress(Exception):
        warnings.simplefilter("ignore")
        torch.export.load(io.BytesIO(content)).module()(torch.ones(2, 3))


def test_a_file_of_pytorch_answers_as_the_module_does() -> None:
    # the graph as traced, with dropout and batch_norm in it, not as this flavor saves it
    np.testing.assert_array_equal(restored(GOOD).answers(INPUTS), expected(MODEL))


def test_it_takes_tensors_where_a_module_did() -> None:
    rows = torch.tensor(INPUTS, dtype=torch.float32)
    with torch.inference_mode():
        # witness: the module itself
        assert torch.equal(restored(GOOD)(rows), MODEL.eval()(rows))


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    return tmp_path / "mark"


def test_sample_inputs_are_never_opened(mark: Path, capfd: pytest.CaptureFixture[str]) -> None:
    members = parts(GOOD)
    (name,) = (name for name in members if "sample_inputs" in name)
    content = packed({**members, name: marking(mark)})
    np.testing.assert_array_equal(restored(content).answers(INPUTS), expected(MODEL))
    assert not mark.exists()
    run_by_torch(content)
    assert mark.exists()
    capfd.readouterr()


def test_weights_in_a_pickle_are_refused(mark: Path) -> None:
    def as_pickle(held: Any) -> None:
        held["config"]["0.weight"]["use_pickle"] = True

    members = parts(changed(GOOD, WEIGHTS, as_pickle))
    (name,) = (name for name in members if name.endswith("weight_0"))
    content = packed({**members, name: marking(mark)})
    with pytest.raises(UntrustedArtifact, match=r"'0\.weight' in the archive is a pickle"):
        restored(content)
    assert not mark.exists()
    run_by_torch(content)
    assert mark.exists()


def test_an_expression_that_is_code_is_refused(mark: Path) -> None:
    def name_code(held: Any) -> None:
        for meta in held["graph_module"]["graph"]["tensor_values"].values():
            for size in meta["sizes"]:
                if "as_expr" in size:
                    size["as_expr"]["expr_str"] = (
                        f"__import__('pathlib').Path({str(mark)!r}).touch()"
                    )

    content = changed(GOOD, GRAPH, name_code)
    with pytest.raises(InvalidInput, match="any number of rows"):
        restored(content)
    assert not mark.exists()
    run_by_torch(content)
    assert mark.exists()


def test_a_guard_that_is_code_is_refused(mark: Path) -> None:
    guard = f"__import__('pathlib').Path({str(mark)!r}).touch() or True"
    content = changed(GOOD, GRAPH, lambda held: held["guards_code"].append(guard))
    with pytest.raises(InvalidInput, match="holds for some tables only"):
        restored(content)
    assert not mark.exists()
    run_by_torch(content)
    assert mark.exists()


@pytest.mark.parametrize(
    "path",
    [
        "data/constants/custom_obj_0",
        "data/constants/opaque_obj_0",
        "data/weights/model.pt",
        "data/weights/../weights/weight_0",
        "data/aotinductor/model/model.so",
        "models/other.json",
        "extra/notes.txt",
        "code/__torch__.py",
    ],
)
def test_members_of_other_kinds_are_refused(path: str, mark: Path) -> None:
    with pytest.raises(UntrustedArtifact):
        restored(packed({**parts(GOOD), f"archive/{path}": marking_pickle(mark)}))
    assert not mark.exists()


def test_compiled_code_is_named_in_the_refusal() -> None:
    content = packed({**parts(GOOD), "archive/data/aotinductor/model/model.so": b"\x7fELF"})
    with pytest.raises(UntrustedArtifact, match=r"model\.so'.*no pickles, compiled code"):
        restored(content)


def first(held: Any) -> Any:
    return held["graph_module"]["graph"]["nodes"][0]


def last(held: Any) -> Any:
    return held["graph_module"]["graph"]["nodes"][-1]


@pytest.mark.parametrize(
    "target",
    [
        "torch.ops.aten.from_file.default",
        "torch.ops.aten.linear.out",
        "torch.ops.higher_order.cond",
        "torch.ops.mylib.mine.default",
        "torch.ops.__init__.load_library.default",
        "os.system",
        "_operator.pow",
        "",
    ],
)
def test_operators_outside_of_the_list_are_refused(target: str) -> None:
    content = changed(GOOD, GRAPH, lambda held: first(held).update(target=target))
    with pytest.raises(UntrustedArtifact, match="PALIO_TRUSTED_TYPES") as refused:
        restored(content)
    assert refused.value.details["types"] == [target]


def test_an_operator_can_be_allowed_by_its_exact_name() -> None:
    class Cosh(nn.Module):  # type: ignore[misc]
        def forward(self, rows: Any) -> Any:
            return torch.cosh(rows).sum(1)

    content = content_of(program(Cosh()))
    with pytest.raises(UntrustedArtifact, match=r"torch\.ops\.aten\.cosh\.default"):
        restored(content)
    found = restored(content, "torch.ops.aten.cosh.default").answers(INPUTS)
    np.testing.assert_allclose(found, np.cosh(INPUTS).sum(axis=1), rtol=1e-6)  # float32
    # what is no operator is not made one by a name
    content = changed(content, GRAPH, lambda held: first(held).update(target="os.system"))
    with pytest.raises(UntrustedArtifact):
        restored(content, "os.system")


def test_writing_in_place_is_refused_with_a_remedy() -> None:
    model = nn.Sequential(nn.Linear(3, 1), nn.ReLU(inplace=True)).eval()
    with pytest.raises(UntrustedArtifact, match=r"run_decompositions\(\{\}\) replaces it"):
        restored(content_of(program(model)))


def reaching(**change: Any) -> Callable[[Any], None]:
    return lambda held: held["config"]["0.weight"]["tensor_meta"].update(change)


@pytest.mark.parametrize(
    "change",
    [
        reaching(sizes=[{"as_int": 8}, {"as_int": 4}]),
        reaching(storage_offset={"as_int": 1}),
        reaching(strides=[{"as_int": 2**40}, {"as_int": 1}]),
        reaching(dtype=8),
        reaching(sizes=[{"as_int": 2**40}, {"as_int": 3}], strides=[{"as_int": 0}] * 2),
    ],
)
def test_tensors_that_reach_beyond_their_bytes_are_refused(change: Callable[..., None]) -> None:
    with pytest.raises(UntrustedArtifact, match="reaches beyond its own bytes"):
        restored(changed(GOOD, WEIGHTS, change))


@pytest.mark.parametrize(
    ("path", "change"),
    [
        (WEIGHTS, reaching(strides=[{"as_int": -1}, {"as_int": 1}])),
        (WEIGHTS, reaching(sizes=[{"as_int": True}, {"as_int": 3}])),
        (WEIGHTS, reaching(sizes=[{"as_int": 3}])),
        (WEIGHTS, reaching(dtype=9)),
        (WEIGHTS, reaching(layout=1)),
        (WEIGHTS, lambda held: held.clear()),
        (WEIGHTS, lambda held: held["config"].pop("0.weight")),
        (WEIGHTS, lambda held: held["config"]["0.weight"].update(path_name="../x")),
        (GRAPH, lambda held: held.pop("schema_version")),
        (GRAPH, lambda held: first(held)["inputs"][0].update(name="other")),
        (GRAPH, lambda held: first(held)["inputs"][0].update(arg={"as_graph": {}})),
        (GRAPH, lambda held: last(held)["inputs"][1].update(arg={"as_int": 2**70})),
        (GRAPH, lambda held: last(held)["inputs"][1].update(arg={"as_int": "1"})),
        (GRAPH, lambda held: last(held)["inputs"][1].update(arg={"as_float": "one"})),
    ],
)
def test_malformed_files_are_refused(path: str, change: Callable[[Any], None]) -> None:
    with pytest.raises(InvalidInput, match=r"model\.pt2 is no program that PyTorch"):
        restored(changed(GOOD, path, change))


def test_json_that_is_too_deep_is_refused() -> None:
    content = packed({**parts(GOOD), "archive/models/model.json": b"[" * 100_000})
    with pytest.raises(InvalidInput, match="RecursionError"):
        restored(content)


def test_another_major_version_is_refused() -> None:
    content = changed(GOOD, GRAPH, lambda held: held["schema_version"].update(major=9))
    with pytest.raises(InvalidInput, match="another version; export it again"):
        restored(content)


def test_truth_values_are_0_or_1_whatever_the_bytes_say() -> None:
    class Masked(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mask", torch.tensor([True, True, False]))

        def forward(self, rows: Any) -> Any:
            return (rows * self.mask).sum(1) + self.mask.sum()

    members = parts(content_of(program(Masked())))
    (name,) = (name for name in members if name.endswith("weight_0"))
    found = restored(packed({**members, name: b"\xff\x02\0"})).answers(INPUTS)
    np.testing.assert_allclose(found, INPUTS[:, :2].sum(axis=1) + 2, rtol=1e-6)  # float32


class Two(nn.Module):  # type: ignore[misc]
    """Gives two tensors."""

    def forward(self, rows: Any) -> Any:
        return rows, rows + 1


class Whole(nn.Module):  # type: ignore[misc]
    """Takes integers."""

    def forward(self, rows: Any) -> Any:
        return rows.sum(1)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: program(MODEL, rows=None), "any number of rows"),
        (lambda: program(MODEL, rows=torch.export.Dim("r", min=2)), "any number of rows"),
        (lambda: program(MODEL, rows=torch.export.Dim("r", max=64)), "any number of rows"),
        (lambda: program(MODEL, rows=2 * torch.export.Dim("r")), "any number of rows"),
        (lambda: program(Two()), "gives 2 outputs"),
        (lambda: program(Whole(), dtype=torch.int64), "export it over a table of float32"),
        (lambda: program(network().train()), "exported while training"),
        (lambda: program(network().train()).run_decompositions({}), "call eval()"),
        (lambda: program(nn.Dropout().train()), "exported while training"),
    ],
)
def test_programs_that_do_not_answer_rows_are_refused(make: Callable[[], Any], why: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content = content_of(make())
    with pytest.raises(InvalidInput, match=why.replace("(", r"\(").replace(")", r"\)")):
        restored(content)


def test_a_flag_of_training_cannot_hide() -> None:
    def rename(held: Any) -> None:
        (node,) = (n for n in held["graph_module"]["graph"]["nodes"] if "dropout" in n["target"])
        node["inputs"][2].update(name="p", arg={"as_bool": True})

    with pytest.raises(InvalidInput, match="does not take"):
        restored(changed(GOOD, GRAPH, rename))


def test_numbers_do_not_stand_for_types() -> None:
    # PyTorch takes the number for a place in a table of types, and the process ends
    def typed(held: Any) -> None:
        first(held).update(
            target="torch.ops.aten.sum.default",
            inputs=[
                {"name": "self", "arg": {"as_tensor": {"name": "input"}}, "kind": 1},
                {"name": "dtype", "arg": {"as_int": -1}, "kind": 2},
            ],
        )

    with pytest.raises(InvalidInput, match=r"stands where Optional\[ScalarType\]"):
        restored(changed(GOOD, GRAPH, typed))


def test_sizes_that_do_not_fit_end_in_an_error() -> None:
    # the kernel behind the operator would read on beyond a mean of 2 numbers
    content = exported(MODEL, 3)
    assert b"_native_batch_norm_legit_no_training" in content

    def shorten(held: Any) -> None:
        held["config"]["2.running_mean"]["tensor_meta"]["sizes"] = [{"as_int": 2}]

    signature = FLAVOR.infer_signature(restored(content), INPUTS)
    with pytest.raises(InvalidInput, match="running_mean should contain 8 elements not 2"):
        FLAVOR.load({"model.pt2": changed(content, WEIGHTS, shorten)}, signature)


class Chosen(nn.Module):  # type: ignore[misc]
    """Picks by a list, masks with infinity, and keeps an empty tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("empty", torch.zeros(3, 0))

    def forward(self, rows: Any) -> Any:
        picked = torch.cat([rows[:, [2, 0]], rows @ self.empty], dim=1)
        return picked.masked_fill(picked > 0.5, -torch.inf).exp().sum(1)


def test_lists_infinity_and_empty_tensors() -> None:
    picked = INPUTS.astype(np.float32)[:, [2, 0]]
    wanted = np.where(picked > 0.5, 0, np.exp(picked)).sum(axis=1)
    found = restored(exported(Chosen(), 3)).answers(INPUTS)
    np.testing.assert_allclose(found, wanted, rtol=1e-6)  # float32


def test_two_inputs_are_refused() -> None:
    def double(held: Any) -> None:
        specs = held["graph_module"]["signature"]["input_specs"]
        specs.append(specs[-1])

    with pytest.raises(InvalidInput, match="takes 2 inputs; wrap it in a module"):
        restored(changed(GOOD, GRAPH, double))


def test_another_device_is_refused() -> None:
    def move(held: Any) -> None:
        inputs = [node["inputs"] for node in held["graph_module"]["graph"]["nodes"]]
        for one in (one for given in inputs for one in given if one["name"] == "device"):
            one["arg"]["as_device"]["type"] = "cuda"

    with pytest.raises(InvalidInput, match="computes on cuda; move it to the CPU"):
        restored(changed(exported(Attentive(), 3), GRAPH, move))

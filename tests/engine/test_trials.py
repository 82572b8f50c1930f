"""What a model is put through before it serves."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import msgspec
import numpy as np
import onnxruntime
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from service.artifact.config import parse_config
from service.artifact.golden import Golden
from service.artifact.lengths import Length
from service.artifact.signature import TensorSpec
from service.backends.plan import Plan
from service.datatypes import NUMPY_DTYPES
from service.engine.profile import BucketTime
from service.engine.trials import golden as golden_trial
from service.engine.trials.bench import Bench
from service.engine.trials.difference import BEYOND
from service.engine.trials.findings import Findings, FindingsCache, key_of
from service.engine.trials.independence import TOLERANCE, influence
from service.engine.trials.mates import CONTRASTS, Contrast, beside
from service.engine.trials.samples import calm
from service.engine.trials.timing import measure
from service.engine.trials.tryout import Influence, Tryout
from service.errors import ArtifactError
from service.workers.payloads import Timings
from service.workers.trial import TrialFailed, Tried
from tests.integration import models

Compute = Callable[[NDArray[Any]], NDArray[Any]]
X = (TensorSpec(name="x", datatype="FP32", dims=(3,)),)
Y = (TensorSpec(name="y", datatype="FP32", dims=(3,)),)
PLAN = Plan(backend="fake", path="", max_batch_size=8, inputs=X, outputs=Y)
ROWS = np.arange(12, dtype=np.float32).reshape(4, 3)


class FunctionBench:
    """Runs a function of the first input where a worker would run a model; each row takes a millisecond."""

    def __init__(self, compute: Compute, most: int = 1000) -> None:
        self.sizes: list[int] = []
        self._compute = compute
        self._most = most

    async def run(self, inputs: Sequence[NDArray[Any]]) -> Tried:
        rows = len(inputs[0])
        self.sizes.append(rows)
        if rows > self._most:
            raise TrialFailed("not enough memory")
        timings = Timings(input=0, infer=rows * 1_000_000, output=0)
        return Tried(outputs=[self._compute(inputs[0])], timings=timings)


def bench(compute: Compute, most: int = 1000) -> tuple[Bench, FunctionBench]:
    function = FunctionBench(compute, most)
    return cast("Bench", function), function


def dynamic_int8(x: NDArray[Any]) -> NDArray[Any]:
    """Quantized with a scale that is learnt from the whole batch."""
    scale = max(float(np.abs(x).max()), 1e-9) / 127
    return (np.round(x / scale) * scale).astype(np.float32)


@pytest.mark.parametrize(
    "compute, independent",
    [
        (lambda x: x * 2, True),
        (lambda x: x * (1 + 1e-6 * len(x)), True),
        (dynamic_int8, False),
        (lambda x: x - x.mean(), False),
        (lambda x: x[:1], False),
        (lambda x: np.where(np.abs(x).max() > 1e3, np.nan, x), False),
        (lambda x: np.where(np.arange(3) == 1, np.nan, x * (1 + 1e-6 * len(x))), True),
        (lambda x: 900 + (np.abs(x).max(keepdims=True) > 1e3).astype(np.int64).repeat(len(x), 0), False),
    ],
)
async def test_mates_that_change_an_answer_are_found(compute: Compute, *, independent: bool) -> None:
    """The order of sums is no influence; a scale of the whole batch, a mean over it, or a missing row is."""
    tried, _ = bench(compute)

    assert independent == (await influence(tried, X, [ROWS]) <= TOLERANCE["f32"])


@pytest.mark.parametrize("last", [True, False])
async def test_mates_before_and_behind_are_tried(*, last: bool) -> None:
    """Some mates matter only to rows on one side of them, as in a running sum over the batch."""

    def running(x: NDArray[Any]) -> NDArray[Any]:
        order = slice(None) if last else slice(None, None, -1)
        return np.asarray(np.cumsum(x[order], axis=0)[order], x.dtype)

    tried, _ = bench(running)
    assert await influence(tried, X, [ROWS]) > TOLERANCE["f32"]


@pytest.mark.parametrize("quantized", [True, False])
async def test_mates_are_found_where_there_are_only_ids(*, quantized: bool) -> None:
    """A real runtime, and ids that are positions in a table: with the same ids in every row, ordinary mates show
    nothing of a range that is learnt from the batch.
    """
    session = onnxruntime.InferenceSession(models.embedding(quantized=quantized), providers=["CPUExecutionProvider"])
    tried, _ = bench(lambda ids: np.asarray(session.run(["y"], {"ids": ids})[0]))
    ids = TensorSpec(name="ids", datatype="INT64", dims=(16,))
    tryout = Tryout(plan=msgspec.structs.replace(PLAN, inputs=(ids,)), golden=None)

    change = (await tryout.influence(tried)).change
    assert change is not None
    assert quantized == (change > TOLERANCE["f32"])


@pytest.mark.parametrize("datatype", ["FP16", "BF16", "FP32", "FP64"])
@pytest.mark.parametrize("contrast", CONTRASTS[:3])
def test_mates_are_so_many_times_as_large(datatype: str, contrast: Contrast) -> None:
    """In every datatype that has room for it, and whatever calm rows hold; they are finite all the same."""
    specs = [TensorSpec(name="x", datatype=datatype, dims=(4,))]
    (rows,) = calm(specs, 3, {})
    if rows.dtype.kind == "f":
        rows[0, 0] = np.nan
    (batch,) = beside(specs, [rows], 2, contrast)

    np.testing.assert_array_equal(rows[2], batch[2])
    values, largest = _values(datatype, batch[:2]), np.nanmax(np.abs(_values(datatype, rows)))
    assert np.isfinite(values).all()
    np.testing.assert_allclose(np.abs(values), contrast.factor * largest, rtol=0.01)
    assert values.min() < 0 < values.max()


def _values(datatype: str, array: NDArray[Any]) -> NDArray[np.float64]:
    if datatype == "BF16":
        array = (array.astype(np.uint32) << 16).view(np.float32)
    return array.astype(np.float64)


@pytest.mark.parametrize("position", [0, 2])
def test_integers_are_at_the_ends_or_elsewhere(position: int) -> None:
    """Bytes at the ends of their datatype, others at those of what was seen; else all is what calm rows hold."""
    specs = [TensorSpec(name=datatype, datatype=datatype, dims=(2,)) for datatype in ("INT8", "INT64", "BOOL", "BYTES")]
    rows: list[NDArray[Any]] = [
        np.array([[5, 6], [7, 8], [9, 3]], np.int8),
        np.array([[5, 6], [7, 8], [9, 3]]),
        np.array([[True, False], [True, True], [True, True]]),
        np.array([[b"a", b"b"], [b"c", b"d"], [b"e", b"f"]], object),
    ]
    tiny, ids, flags, texts = beside(specs, rows, position, CONTRASTS[0])
    mates = [other for other in range(3) if other != position]

    np.testing.assert_array_equal(rows[0][position], tiny[position])
    assert {-128, 127} == set(tiny[mates].ravel())
    assert ({3}, {9})[:: -1 if position else 1] == (set(ids[position]), set(ids[mates].ravel()))
    assert ({False}, {True})[:: -1 if position else 1] == (set(flags[position]), set(flags[mates].ravel()))
    np.testing.assert_array_equal(rows[3][position], texts[position])
    for before, after in zip(rows, beside(specs, rows, position, CONTRASTS[1]), strict=True):
        np.testing.assert_array_equal(before[position], after[position])
        assert set(after.ravel()) <= set(before.ravel())
        assert not np.array_equal(before, after)


@pytest.mark.parametrize("most", [20000, 200])
async def test_milder_mates_are_tried_where_extreme_ones_are_refused(most: float) -> None:
    """Of a model that learns its range from the batch they tell enough, where those of ordinary rows are all alike."""

    def fussy(x: NDArray[Any]) -> NDArray[Any]:
        if np.abs(x).max() > most:
            raise TrialFailed("out of range")
        return dynamic_int8(x)

    tried, _ = bench(fussy)
    rows = np.array([[1, 2, 9], [9, 1, 2], [2, 9, 1]], np.float32)
    assert await influence(tried, X, [rows]) > TOLERANCE["f32"]


async def test_a_model_may_refuse_all_that_is_beyond_its_range() -> None:
    """Then mates at the ends of it have to do; calm ones alone would be no evidence, and nothing is known."""

    def bounded(x: NDArray[Any]) -> NDArray[Any]:
        if x.min() < ROWS.min() or x.max() > ROWS.max():
            raise TrialFailed("out of range")
        return x

    def narrow(x: NDArray[Any]) -> NDArray[Any]:
        if not all((row == ROWS).all(axis=1).any() for row in x):
            raise TrialFailed("never seen")
        return x

    tryout = Tryout(plan=PLAN, golden=Golden(inputs={"x": ROWS}, outputs={}))
    assert Influence(change=0.0) == await tryout.influence(bench(bounded)[0])
    told = "it refuses batch-mates unlike the rows that it is tried with: never seen"
    assert Influence(change=None, problem=told) == await tryout.influence(bench(narrow)[0])


async def test_what_is_refused_is_tried_with_less() -> None:
    """A model that takes two rows but not eight is tried with two; of one that takes one only nothing is known."""
    two, _ = bench(lambda x: x, most=2)
    one, _ = bench(lambda x: x, most=1)
    none, _ = bench(lambda x: x, most=0)
    tryout = Tryout(plan=PLAN, golden=None)

    assert 0.0 == (await tryout.influence(two)).change
    for tried, text in ((one, "refuses rows together that it computes alone: not enough"), (none, "golden.npz can")):
        influence = await tryout.influence(tried)
        assert influence.change is None
        assert text in influence.problem


async def test_lengths_nobody_declared_are_looked_for() -> None:
    """A model that refuses the shortest input is tried with longer ones."""

    def window(x: NDArray[Any]) -> NDArray[Any]:
        if x.shape[1] < 7:
            raise TrialFailed("smaller than the kernel")
        centred: NDArray[Any] = x - x.mean()
        return centred

    plan = msgspec.structs.replace(PLAN, inputs=(TensorSpec(name="x", datatype="FP32", dims=(-1,)),))
    tried, _ = bench(window)
    change = (await Tryout(plan=plan, golden=None).influence(tried)).change
    assert change is not None
    assert change > TOLERANCE["f32"]


async def test_no_larger_inputs_are_made_up_than_there_is_memory_for() -> None:
    """Of an image in which everything varies some sizes are tried; of four such dims the largest isn't."""
    shapes: set[tuple[int, ...]] = set()

    def fussy(x: NDArray[Any]) -> NDArray[Any]:
        shapes.add(x.shape[1:])
        raise TrialFailed("never fits")

    for dims in ((-1, -1, 3), (-1, -1, -1, -1)):
        plan = msgspec.structs.replace(PLAN, inputs=(TensorSpec(name="x", datatype="FP32", dims=dims),))
        tried, _ = bench(fussy)
        assert (await Tryout(plan=plan, golden=None).influence(tried)).change is None

    assert {(1, 1, 3), (32, 32, 3), (224, 224, 3), (1, 1, 1, 1), (32, 32, 32, 32)} == shapes


async def test_batches_are_timed_as_far_as_the_model_takes_them() -> None:
    """Every size that is computed has its median; one that is refused ends the list, but not the first."""
    batches = {rows: [np.zeros((rows, 3), np.float32)] for rows in (1, 2, 4, 8)}
    tried, _ = bench(lambda x: x, most=4)

    found = await measure(tried, batches, seconds=0.2)
    assert [1, 2, 4] == [one.rows for one in found]
    assert [0.001, 0.002, 0.004] == pytest.approx([one.median for one in found])

    tried, _ = bench(lambda x: x, most=0)
    with pytest.raises(TrialFailed):
        await measure(tried, batches)


class ElementBench:
    """Answers zeros, and takes a microsecond for each element of the first input."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    async def run(self, inputs: Sequence[NDArray[Any]]) -> Tried:
        self.shapes.append(inputs[0].shape)
        assert all(array.shape == inputs[0].shape for array in inputs)
        timings = Timings(input=0, infer=inputs[0].size * 1000, output=0)
        return Tried(outputs=[np.zeros(inputs[0].shape)], timings=timings)


IDS = tuple(TensorSpec(name=name, datatype="INT64", dims=(-1,)) for name in ("ids", "mask"))
LENGTHS = (Length(input="ids", axis=1, buckets=(4, 8, 16), mask="mask"),)


async def test_declared_lengths_are_timed() -> None:
    """All batch sizes at the longest, so that no batch takes longer than predicted; shorter ones as a share of that."""
    function = ElementBench()
    tried = cast("Bench", function)
    tryout = Tryout(plan=msgspec.structs.replace(PLAN, inputs=IDS), golden=None, lengths=LENGTHS)

    buckets = await tryout.time(tried)
    assert {(rows, 16) for rows in (1, 2, 4, 8)} == set(function.shapes)
    assert [16e-6, 32e-6, 64e-6, 128e-6] == pytest.approx([bucket.median for bucket in buckets])
    assert (0.25, 0.5, 1.0) == pytest.approx(await tryout.shares(tried, buckets))
    assert tryout.calm(2)[1].all()


async def test_there_is_an_end_to_timing_lengths() -> None:
    """Where the longest take too long, fewer rows are compared; where one row does, every length counts as longest."""
    function = ElementBench()
    tried = cast("Bench", function)
    tryout = Tryout(plan=msgspec.structs.replace(PLAN, inputs=IDS), golden=None, lengths=LENGTHS)
    slow = [BucketTime(rows=rows, median=0.22 + 0.001 * rows, p95=1) for rows in (1, 2, 4, 8, 16, 32)]

    assert 3 == len(await tryout.shares(tried, slow))
    assert 16 == max(rows for rows, _ in function.shapes)
    assert () == await tryout.shares(tried, [BucketTime(rows=1, median=1.0, p95=1.0)])
    assert () == await tryout.shares(tried, [])


async def test_large_inputs_are_tried_in_small_batches() -> None:
    """The event loop copies what is tried: batches of more than 32 MB are left out, a row of more than 256 MB too."""
    tried, function = bench(lambda x: x)
    picture = Tryout(plan=msgspec.structs.replace(PLAN, inputs=(pixels(3 << 20),)), golden=None)
    assert [1, 2] == [bucket.rows for bucket in await picture.time(tried)]
    assert 0 == (await picture.influence(tried)).change
    assert 2 == max(function.sizes)

    function.sizes.clear()
    scan = Tryout(plan=msgspec.structs.replace(PLAN, inputs=(pixels(1 << 27),)), golden=None)
    assert () == await scan.time(tried)
    assert "too large to be made up" in (await scan.influence(tried)).problem
    assert [] == function.sizes


async def test_the_length_of_golden_samples_counts() -> None:
    """Where an input's length varies, made up rows are as long as the samples."""
    plan = msgspec.structs.replace(PLAN, inputs=(pixels(-1),))
    samples = np.zeros((1, 3 << 20), np.float32)
    tried, function = bench(lambda x: x)
    await Tryout(plan=plan, golden=Golden(inputs={"x": samples}, outputs={})).influence(tried)

    assert 2 == max(function.sizes)


def pixels(size: int) -> TensorSpec:
    return TensorSpec(name="x", datatype="FP32", dims=(size,))


async def test_lengths_that_are_not_declared_are_not_timed() -> None:
    """Nobody knows which will come, also where golden samples have one."""
    plan = msgspec.structs.replace(PLAN, inputs=IDS)
    golden = Golden(inputs={"ids": np.ones((2, 5), np.int64), "mask": np.ones((2, 5), np.int64)}, outputs={})
    function = ElementBench()

    assert () == await Tryout(plan=plan, golden=golden).time(cast("Bench", function))
    assert [] == function.shapes


async def test_timing_takes_no_longer_than_it_may() -> None:
    """A slow model is timed for the sizes that time is left for, the first at least; others are taken to cost alike."""
    tried, function = bench(lambda x: x)
    found = await measure(tried, {rows: [np.zeros((rows, 3), np.float32)] for rows in (1, 4096)}, seconds=0.01)

    assert [1, 4096] == [one.rows for one in found]
    assert found[1].median == pytest.approx(4096 * found[0].median)
    assert set(function.sizes) == {1}


@pytest.mark.parametrize(
    "compute, complaint",
    [
        (lambda x: x * 2, None),
        (lambda x: x * 2.01, None),
        (lambda x: x * 3, "isn't what golden.npz says .* it differs by 50%, allowed are 5%"),
        (lambda x: x * np.float32(np.nan), "isn't what golden.npz says .* it differs by far more"),
        (lambda x: x[:, :2], r"has shape \[4, 2\] for the golden samples, published was \[4, 3\]"),
    ],
)
async def test_golden_samples_tell_another_model_apart(compute: Compute, complaint: str | None) -> None:
    """Small differences are another machine's; large ones, other shapes and NaN are another model's."""
    tried, _ = bench(compute)
    golden = Golden(inputs={"x": ROWS}, outputs={"y": ROWS * 2})
    if complaint is None:
        await golden_trial.check(tried, PLAN, golden)
        return
    with pytest.raises(ArtifactError, match=complaint):
        await golden_trial.check(tried, PLAN, golden)


@pytest.mark.parametrize("rows, most", [(4, 8), (8, 4), (7, 3), (3, 1)])
async def test_all_rows_of_golden_samples_are_compared(rows: int, most: int) -> None:
    """In batches of at most the largest; a difference in the last row alone is found."""
    plan = msgspec.structs.replace(PLAN, max_batch_size=most)
    inputs = np.arange(rows * 3, dtype=np.float32).reshape(rows, 3)
    tried, function = bench(lambda x: x * 2)
    await golden_trial.check(tried, plan, Golden(inputs={"x": inputs}, outputs={"y": inputs * 2}))
    assert rows == sum(function.sizes)
    assert max(function.sizes) <= most

    wrong = inputs * 2
    wrong[-1] = 500
    with pytest.raises(ArtifactError, match=r"isn't what golden\.npz says"):
        await golden_trial.check(tried, plan, Golden(inputs={"x": inputs}, outputs={"y": wrong}))


async def test_golden_samples_without_a_batch_axis_are_one_input() -> None:
    """They go through whole, whatever their first dim is."""
    plan = msgspec.structs.replace(PLAN, max_batch_size=0)
    tried, function = bench(lambda x: x * 2)
    await golden_trial.check(tried, plan, Golden(inputs={"x": ROWS[0]}, outputs={"y": ROWS[0] * 2}))

    assert [3] == function.sizes


@pytest.mark.parametrize(
    "inputs, outputs, complaint",
    [
        ({"z": ROWS}, {}, 'golden.npz has no input "x"'),
        ({"x": ROWS, "z": ROWS}, {"y": ROWS}, 'golden.npz has input "z", the model takes "x"'),
        ({"x": ROWS}, {"z": ROWS}, 'golden.npz has output "z", the model serves "y"'),
        ({"x": ROWS}, {"y": ROWS, "z\n": ROWS}, 'golden.npz has output "z\\n", the model serves "y"'),
        ({"x": ROWS}, {}, 'golden.npz has no output, the model serves "y"'),
        ({"x": ROWS.astype(float)}, {"y": ROWS}, 'golden.npz: input "x" is FP64, the model takes FP32'),
        ({"x": ROWS.astype(np.int32)}, {"y": ROWS}, 'golden.npz: input "x" is INT32, the model takes FP32'),
        ({"x": ROWS.astype(object)}, {"y": ROWS}, 'golden.npz: input "x" is BYTES, the model takes FP32'),
        ({"x": ROWS.astype(complex)}, {"y": ROWS}, 'golden.npz: input "x" is complex128, the model takes FP32'),
        ({"x": ROWS}, {"y": ROWS.astype(float)}, 'golden.npz: output "y" is FP64, the model serves FP32'),
        ({"x": ROWS[:, :2]}, {"y": ROWS}, 'golden.npz: input "x" has shape [4, 2], the model takes [-1, 3]'),
        ({"x": ROWS[0]}, {"y": ROWS}, 'golden.npz: input "x" has shape [3], the model takes [-1, 3]'),
        ({"x": ROWS}, {"y": ROWS[:, :2]}, 'golden.npz: output "y" has shape [4, 2], the model serves [-1, 3]'),
        ({"x": ROWS}, {"y": ROWS[:3]}, 'golden.npz: output "y" has 3 rows, input "x" has 4'),
        ({"x": ROWS[:0]}, {"y": ROWS[:0]}, "golden.npz holds no rows"),
    ],
)
async def test_golden_samples_that_do_not_fit_the_model_are_named(
    inputs: dict[str, NDArray[Any]], outputs: dict[str, NDArray[Any]], complaint: str
) -> None:
    """One line has the file, the tensor, what it is and what the model has; nothing of them is computed."""
    tried, function = bench(lambda x: x)
    with pytest.raises(ArtifactError) as caught:
        await golden_trial.check(tried, PLAN, Golden(inputs=inputs, outputs=outputs))

    assert complaint == str(caught.value)
    assert [] == function.sizes


@given(st.sampled_from(sorted(NUMPY_DTYPES)), st.integers(1, 5), st.lists(st.sampled_from([-1, 1, 2]), max_size=3))
def test_inputs_can_be_made_up_for_every_datatype(datatype: str, rows: int, dims: list[int]) -> None:
    """Rows and datatype are those asked for, dims that vary are 1, and other mates look the same from outside."""
    specs = [TensorSpec(name="x", datatype=datatype, dims=tuple(dims))]
    (array,) = calm(specs, rows, {})
    assert (rows, *[abs(dim) for dim in dims]) == array.shape
    assert NUMPY_DTYPES[datatype] == array.dtype
    for contrast in CONTRASTS:
        (mates,) = beside(specs, [array], rows - 1, contrast)
        assert (array.shape, array.dtype) == (mates.shape, mates.dtype)


def test_golden_inputs_are_preferred() -> None:
    """Real inputs say more than made-up ones; they are repeated to the rows and lengths asked for."""
    (array,) = calm(X, 6, {"x": ROWS})
    np.testing.assert_array_equal(ROWS[[0, 1, 2, 3, 0, 1]], array)
    (array,) = calm([TensorSpec(name="x", datatype="FP32", dims=(5,))], 1, {"x": ROWS})
    np.testing.assert_array_equal(ROWS[:1, [0, 1, 2, 0, 1]], array)
    (array,) = calm([TensorSpec(name="x", datatype="FP32", dims=(-1,))], 4, {"x": ROWS}, size=9)
    np.testing.assert_array_equal(ROWS, array)


def test_findings_are_kept_by_key(tmp_path: Path) -> None:
    """What was kept is found again, also in a folder that has to be made; anything else there counts as nothing."""
    findings = Findings(instances=2, threads=1, buckets=(BucketTime(rows=1, median=0.5, p95=0.7),), influence=BEYOND)
    cache = FindingsCache(tmp_path / "a" / "b")
    cache.put("key", findings)

    assert findings == cache.get("key")
    assert cache.get("other") is None
    (tmp_path / "a" / "b" / "key.json").write_text("{}")
    assert cache.get("key") is None
    FindingsCache(None).put("key", findings)
    assert FindingsCache(None).get("key") is None


def test_findings_are_of_the_shapes_that_were_tried() -> None:
    """A configuration may fix what varies in the file: what was measured of 16 elements says nothing of 512."""
    tensor = 'input [ {{ name: "x" data_type: TYPE_FP32 dims: [ {dims} ] }} ]'
    configs = [parse_config(f"max_batch_size: 8 {tensor.format(dims=dims)}", name="m") for dims in (-1, 16, 512, 16)]
    keys = [key_of(PLAN, "fake", config, 2) for config in configs]

    assert 3 == len(set(keys))
    assert keys[1] == keys[3]


def test_findings_that_cannot_be_kept_leave_nothing_behind(tmp_path: Path) -> None:
    """When the last step fails, what was written before it is gone again, and one line says that nothing is kept."""
    findings = Findings(instances=1, threads=1, buckets=(), influence=0.0)
    (tmp_path / "key.json").mkdir()
    cache = FindingsCache(tmp_path)
    structlog.reset_defaults()  # a command line that ran before may have silenced warnings
    with structlog.testing.capture_logs() as lines:
        cache.put("key", findings)
        cache.put("key", findings)

    assert ["key.json"] == [path.name for path in tmp_path.iterdir()]
    assert ["what was measured isn't kept: name a folder with --cache-dir"] == [line["event"] for line in lines]

"""The real workload in real frameworks.

In the interpreters that HARNESS_TEST_TF_PYTHONS names (joined by ":"), by default the one that
runs the tests, and for what must be alike in all frameworks and versions in the CPU images.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.analysis.input_cost import BOUND_BELOW, input_cost
from harness.analysis.prediction import predict_training
from harness.catalog import images
from harness.runtimes.engine import Engine
from harness.workload import contract
from tests.conftest import lacking

pytestmark = pytest.mark.tensorflow

ROOT = Path(__file__).resolve().parents[2]
WORKLOAD = ROOT / "harness" / "workload"
NAMED = [p for p in os.environ.get("HARNESS_TEST_TF_PYTHONS", "").split(os.pathsep) if p]
PYTHONS = NAMED or ([sys.executable] if find_spec("tensorflow") else [])
PARAMETERS = {"model-a": 30_239_690, "model-b": 129_795_506, "model-b-2021": 118_002_738}
LIMIT_S = 300

PRELUDE = """
import importlib.util, json, sys
import numpy as np
folder = sys.argv[1]
spec = importlib.util.spec_from_file_location(
    "workload", folder + "/__init__.py", submodule_search_locations=[folder])
package = importlib.util.module_from_spec(spec)
sys.modules["workload"] = package
spec.loader.exec_module(package)
from workload import backend, blocks, data, frameworks, spec as specs
case = specs.parse(json.loads(sys.argv[2]))
frameworks.choose(case)
from workload import models
framework = backend.load(case.framework)
framework.prepare(case)
"""


@pytest.fixture(params=PYTHONS or [""], ids=lambda path: Path(path).parent.parent.name)
def python(request: pytest.FixtureRequest) -> str:
    """An interpreter that holds TensorFlow."""
    if not request.param:
        lacking(f"{sys.executable} has no TensorFlow: make local, or HARNESS_TEST_TF_PYTHONS")
    return str(request.param)


def make_spec(train: int = 256, test: int = 80, **changes: Any) -> dict[str, Any]:
    """A synthetic case of model A; `changes` replace fields, or protocol fields by their name."""
    protocol = {
        "name": "smoke",
        "epochs": 1,
        "checkpoint": "none",
        "inference_batch_size": 32,
    }
    protocol.update((name, changes.pop(name)) for name in list(protocol) if name in changes)
    spec: dict[str, Any] = {
        "contract": contract.CONTRACT_VERSION,
        "case_id": "test",
        "framework": "tensorflow",
        "model": "model-a",
        "parameters": PARAMETERS["model-a"],
        "weights": "random",
        "weights_files": {},
        "dataset": {
            "name": "synthetic",
            "synthetic": True,
            "seed": 3,
            "train": {"images": None, "labels": None, "first": 0, "count": train},
            "test": {"images": None, "labels": None, "first": 0, "count": test},
        },
        "batch_size": 64,
        "precision": "float32",
        "jit": False,
        "deterministic": False,
        "seed": 1,
        "measure": "full",
        "budget_s": None,
        "protocol": protocol,
        "device": "cpu",
        "device_memory_bytes": None,
    }
    return {**spec, **changes}


class Run:
    """One finished workload."""

    def __init__(self, python: str, folder: Path, spec: dict[str, Any], *more: str, **env: str):
        self.out = folder / "out"
        self.out.mkdir()
        (folder / "spec.json").write_text(json.dumps(spec))
        command = [python, str(WORKLOAD), "--spec", str(folder / "spec.json")]
        done = subprocess.run(
            [*command, "--data", str(folder), "--out", str(self.out), *more],
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
            env={**os.environ, **env},
        )
        self.code, self.stderr = done.returncode, done.stderr
        parsed = map(contract.parse_event, done.stdout.splitlines())
        self.events = [event for event in parsed if event]

    def timing(self, phase: str) -> dict[str, Any]:
        timing = json.loads((self.out / contract.timing_file(phase)).read_text())
        assert isinstance(timing, dict)
        return timing


def evaluate(python: str, spec: dict[str, Any], body: str) -> Any:
    """What `body` prints last, as JSON; `case`, `framework` and the modules are at hand."""
    done = subprocess.run(
        [python, "-c", PRELUDE + textwrap.dedent(body), str(WORKLOAD), json.dumps(spec)],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def check_sums(train: dict[str, Any], infer: dict[str, Any]) -> None:
    parts = (train["train_s"], train["validation_s"], train["checkpoint_s"])
    assert train["total_execution_s"] == sum(parts)
    assert train["train_s"] == pytest.approx(sum(e["train_s"] for e in train["epochs"]))
    inside = train["first_step_s"] + sum(b["seconds"] for b in train["blocks"]["train"])
    inside += sum(e["partial_s"] + e["overhead_s"] for e in train["epochs"])
    assert train["train_s"] == pytest.approx(inside)
    assert train["total_execution_s"] <= train["wall_s"] < train["total_execution_s"] + 1
    assert infer["total_inference_s"] == infer["model_load_s"] + infer["predict_s"]


def test_two_epochs_with_a_checkpoint(python: str, tmp_path: Path) -> None:
    spec = make_spec(train=200, epochs=2, checkpoint="best_val_accuracy")
    run = Run(python, tmp_path, spec)
    assert run.code == 0, run.stderr
    train, infer = run.timing("train"), run.timing("infer")
    check_sums(train, infer)
    assert sorted(path.name for path in run.out.iterdir()) == [
        "timing-infer.json",
        "timing-train.json",
    ]
    assert train["parameters"] == PARAMETERS["model-a"]
    assert train["startup_s"] > 0.5
    assert train["first_step_s"] > 0
    assert train["save_s"] == 0.0
    assert train["checkpoint"]["count"] >= 1
    assert train["checkpoint"]["bytes"] > 4 * PARAMETERS["model-a"]
    assert [e["partial_s"] > 0 for e in train["epochs"]] == [True, True]
    assert sum(b["images"] for b in train["blocks"]["train"]) == 2 * 192 - 64
    assert train["device"]["kind"] == infer["device"]["kind"] == "cpu"
    assert train["memory"]["peak_device_bytes"] is None
    assert train["memory"]["peak_host_bytes"] > 4 * PARAMETERS["model-a"]
    assert train["effective"]["tf32"] is False
    # The fresh process predicts with the epoch whose validation was best.
    best = max(e["metrics"]["val_accuracy"] for e in train["epochs"])
    assert infer["accuracy"] == pytest.approx(best)
    assert infer["images"] == 80
    names = [(e["event"], e.get("phase")) for e in run.events if e["event"] != "progress"]
    assert names == [
        ("device", None),
        ("phase", "train"),
        ("epoch", None),
        ("epoch", None),
        ("done", "train"),
        ("device", None),
        ("phase", "infer"),
        ("done", "infer"),
    ]


@pytest.mark.parametrize(
    ("precision", "jit", "policy"),
    [("tf32", True, "float32"), ("mixed_bfloat16", False, "mixed_bfloat16")],
)
def test_settings_come_into_force(
    python: str, tmp_path: Path, precision: str, jit: bool, policy: str
) -> None:
    run = Run(python, tmp_path, make_spec(train=96, test=40, precision=precision, jit=jit))
    assert run.code == 0, run.stderr
    train, infer = run.timing("train"), run.timing("infer")
    check_sums(train, infer)
    assert train["effective"]["policy"] == infer["effective"]["policy"] == policy
    assert train["effective"]["jit"] is jit
    assert train["effective"]["tf32"] is True
    assert train["save_s"] > 0
    assert train["checkpoint"] == {"count": 0, "seconds": 0.0, "bytes": 0}
    assert ("Compiled cluster using XLA" in run.stderr) is jit


def test_loss_scaling_under_float16(python: str) -> None:
    """A whole case takes minutes on a CPU: one step, and the loss is finite."""
    body = """
        import keras
        model = models.build(case, None)
        arrays = data.load(case.dataset, case.dataset.train, "")
        trainer = framework.trainer(model, arrays, 8, 1, False)
        trainer.begin(0)
        trainer.run(1)
        trainer.sync()
        print(json.dumps([type(model.optimizer).__name__, trainer.metrics()["loss"]]))
    """
    optimizer, loss = evaluate(python, make_spec(train=8, precision="mixed_float16"), body)
    assert optimizer.startswith("LossScaleOptimizer")
    assert 0 < loss < 100


def test_the_wrong_number_of_parameters_is_refused(python: str, tmp_path: Path) -> None:
    run = Run(python, tmp_path, make_spec(parameters=7))
    assert run.code == 1
    assert run.stderr.splitlines()[-1] == (
        "ValueError: model-a has 30239690 parameters, the spec expects 7: this is another model"
    )
    assert not list(run.out.iterdir())


@pytest.mark.parametrize("model", ["model-a", "model-b", "model-b-2021"])
def test_parameters(python: str, model: str) -> None:
    spec = make_spec(model=model, parameters=PARAMETERS[model])
    body = "print(json.dumps(models.build(case, None).count_params()))"
    assert evaluate(python, spec, body) == PARAMETERS[model]


def test_the_activity_term_is_the_mean_over_the_batch(python: str) -> None:
    body = """
        from workload.keras_api import keras
        inputs = keras.Input((7,))
        model = keras.Model(inputs, models.ActivityL2()(inputs))
        x = np.random.RandomState(0).rand(5, 7).astype("float32") * 100
        y = np.asarray(model(x))
        assert (y == x).all()
        print(json.dumps([float(model.losses[0]), float((x.astype("float64") ** 2).sum() / 5)]))
    """
    told, squares = evaluate(python, make_spec(), body)
    assert told == pytest.approx(1e-5 * squares, rel=1e-5)


LOSS = """
    from workload.keras_api import keras
    model = models.build(case, None)
    random = np.random.RandomState(0)
    # A scale at which activations, and so the activity term, matter.
    model.set_weights([
        random.randn(*w.shape).astype("float32") * np.sqrt(2 / max(1, np.prod(w.shape[:-1])))
        for w in model.get_weights()
    ])
    arrays = data.load(case.dataset, case.dataset.test, "")
    stepper = framework.validator(model, arrays, 32, False)
    result = blocks.run_pass(stepper, 0, blocks.Pace(), lambda: 0.0, lambda *_: None)
    keras_own = model.evaluate(*arrays, batch_size=32, verbose=0)
    print(json.dumps({**result.metrics, "evaluate": keras_own[0]}))
"""


def evaluate_in(engine: Engine, image: str, spec: dict[str, Any], body: str) -> Any:
    """`evaluate` in a container of `image`."""
    printed = engine.client.containers.run(
        image,
        ["python3", "-c", PRELUDE + textwrap.dedent(body), "/workload", json.dumps(spec)],
        volumes={str(WORKLOAD): {"bind": "/workload", "mode": "ro"}},
        network_mode="none",
        remove=True,
    )
    return json.loads(printed.decode().splitlines()[-1])


@pytest.mark.engine
def test_evaluation_is_kerass_own_and_alike_in_all_frameworks_and_versions(
    engine: Engine, image_ids: dict[str, str]
) -> None:
    """The same loss for the same weights and batch: the mathematics is one everywhere."""
    results = [
        evaluate_in(engine, image, make_spec(framework=images()[name].framework), LOSS)
        for name, image in image_ids.items()
    ]
    for result in results:
        assert result["loss"] == pytest.approx(result["evaluate"], rel=1e-6)
        assert result["loss"] == pytest.approx(results[0]["loss"], rel=1e-5)
        assert result["accuracy"] == results[0]["accuracy"]


FIRST_STEP = """
    models.DROPOUT = 0.0  # each framework draws numbers of its own
    model = models.build(case, None)
    random = np.random.RandomState(0)
    gain = 2 if case.model == "model-a" else 1  # signals neither fade nor grow on their way

    def drawn(weight):
        if "variance" in weight.name:
            return 0.5 + np.abs(random.randn(*weight.shape))
        if "gamma" in weight.name:
            return random.randn(*weight.shape)
        if len(weight.shape) == 1:
            return 0.1 * random.randn(*weight.shape)
        return random.randn(*weight.shape) * np.sqrt(gain / np.prod(weight.shape[:-1]))

    model.set_weights([drawn(weight) for weight in model.weights])
    x, y = data.load(case.dataset, case.dataset.train, "")
    predictor = framework.predictor(model, x, 8, False)
    blocks.run_pass(predictor, 0, blocks.Pace(), lambda: 0.0, lambda *_: None)
    losses = []
    if case.model == "model-a":
        trainer = framework.trainer(model, (x, y), 8, case.seed, False)
        for epoch in range(4):
            trainer.begin(epoch)
            trainer.run(1)
            losses.append(trainer.metrics()["loss"])
    else:  # what the first step tells, without the minute of tracing that learning from it takes
        y_pred = model(x, training=True)
        losses.append(float(model.compute_loss(x=x, y=y, y_pred=y_pred)))
    told = [model.count_params(), losses, predictor.predictions().tolist()]
    print(json.dumps(told))
"""


@pytest.mark.engine
@pytest.mark.parametrize("model", ["model-a", "model-b"])
def test_outputs_and_losses_are_alike_in_the_three_frameworks(
    engine: Engine, image_ids: dict[str, str], model: str
) -> None:
    """The same weights and batch: within what float32 sums in another order differ by."""
    names = ("cpu", "cpu-jax", "cpu-torch")

    def told(name: str) -> Any:
        spec = make_spec(8, model=model, parameters=None, framework=images()[name].framework)
        return evaluate_in(engine, image_ids[name], {**spec, "batch_size": 8}, FIRST_STEP)

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(told, names))
    outputs = [np.array(result[2]) for result in results]
    assert outputs[0].shape == (8, 10)
    assert np.ptp(outputs[0], axis=0).max() > 1e-4  # the images do make a difference
    for (parameters, losses, _), found in zip(results, outputs, strict=True):
        assert parameters == PARAMETERS[model]
        assert losses[0] == pytest.approx(results[0][1][0], rel=1e-5)
        # Adam's first steps have the size of the learning rate, whatever the sums' last digits.
        assert losses == pytest.approx(results[0][1], rel=2e-2)
        assert all(later < earlier for earlier, later in pairwise(losses))
        np.testing.assert_allclose(found, outputs[0], rtol=1e-4, atol=1e-6)


def test_training_is_kerass_own(python: str) -> None:
    """Without dropout and with one order, our loop and `fit` end at the same weights."""
    body = """
        import keras
        models.DROPOUT = 0.0
        model = models.build(case, None)
        x, y = data.load(case.dataset, case.dataset.train, "")
        start = model.get_weights()
        calls = []
        step = model.train_step
        model.train_step = lambda batch: (calls.append(1), step(batch))[1]
        trainer = framework.trainer(model, (x, y), 16, case.seed, False)
        result = blocks.run_pass(trainer, 0, blocks.Pace(), lambda: 0.0, lambda *_: None)
        traces = len(calls)
        ours = model.get_weights()
        model.set_weights(start)
        models.compile_model(model, False)
        model.train_step = step
        order = data.order(case.seed, 0, len(x))
        history = model.fit(x[order], y[order], batch_size=16, shuffle=False, verbose=0).history
        theirs = model.get_weights()
        apart = max(float(np.abs(a - b).max()) for a, b in zip(ours, theirs))
        moved = max(float(np.abs(a - b).max()) for a, b in zip(ours, start))
        history = {name: values[0] for name, values in history.items()}
        print(json.dumps([traces, apart, moved, result.metrics, history]))
    """
    traces, apart, moved, ours, theirs = evaluate(python, make_spec(train=40), body)
    assert traces == 1
    assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-4)
    assert ours.keys() == theirs.keys()
    assert apart < moved / 20


def test_resizing_is_tensorflows(python: str) -> None:
    body = """
        import tensorflow as tf
        images, _ = data.synthetic(1, 0, 64)
        theirs = tf.image.resize(images[..., None] / np.float32(255), (32, 32)).numpy()
        print(json.dumps(float(np.abs(theirs - data.preprocess(images)).max())))
    """
    assert evaluate(python, make_spec(), body) < 1e-5


def test_pretrained_weights_from_a_file(python: str, tmp_path: Path) -> None:
    """The weights of the base are those of the file, and training leaves them alone."""
    body = """
        from workload.keras_api import IS_KERAS_3, keras
        base = keras.applications.VGG19(include_top=False, weights=None, input_shape=(32, 32, 3))
        name = "vgg19.weights.h5" if IS_KERAS_3 else "vgg19.h5"
        base.save_weights(FOLDER + "/" + name)
        case = specs.parse({**json.loads(sys.argv[2]), "weights": "imagenet",
                            "weights_files": {"vgg19": name}})
        model = models.build(case, FOLDER)
        pairs = zip(base.get_weights(), model.get_weights()) if IS_KERAS_3 else zip(
            base.get_weights(), [w.numpy() for layer in model.layers[:22] for w in layer.weights])
        same = all((a == b).all() for a, b in pairs)
        print(json.dumps([name, same, len(model.trainable_variables)]))
    """
    body = textwrap.dedent(body).replace("FOLDER", repr(str(tmp_path)))
    name, same, trainable = evaluate(python, make_spec(), body)
    assert same
    assert trainable == 2 * (4 + 4)
    spec = make_spec(train=64, test=32, weights="imagenet", weights_files={"vgg19": name})
    run = Run(python, tmp_path, spec, "--weights", str(tmp_path))
    assert run.code == 0, run.stderr


def test_a_quick_sample_predicts_what_a_full_run_measures(python: str, tmp_path: Path) -> None:
    """Both on the same small setting; how near they come is shown in docs/accuracy.md."""
    body = """
        import os
        from workload import quick, train
        from workload.phases import Folders
        quick.FULL_BELOW_S = 0.0
        for name in ("full", "quick"):
            out = OUT + "/" + name
            os.makedirs(out)
            document = json.loads(sys.argv[2])
            document["measure"] = name
            document["budget_s"] = 8.0 if name == "quick" else None
            train.run(specs.parse(document), Folders("", out, None))
        files = [OUT + "/%s/timing-train.json" % name for name in ("full", "quick")]
        print(json.dumps([json.load(open(file)) for file in files]))
    """
    spec = make_spec(train=900, test=200, epochs=2, checkpoint="best_val_accuracy")
    for number in range(1, 4):  # a neighbour that comes or goes between the two spoils a pair
        out = tmp_path / str(number)
        full, quick = evaluate(python, spec, f"OUT = {str(out)!r}" + textwrap.dedent(body))
        found = predict_training(quick)
        near = pytest.approx(full["total_execution_s"], rel=0.35)
        if found.values["total_execution_s"] == near:
            break
    assert (full["measured"], quick["measured"]) == ("full", "quick")
    assert "total_execution_s" not in quick
    assert quick["plan"] == {
        "epochs": 2,
        "steps": 14,
        "validation_steps": 3,
        "checkpoint": "best_val_accuracy",
    }
    assert quick["sample"]["train"]["partials"]
    assert len(quick["sample"]["saves"]) == 3
    assert sum(block["seconds"] for block in quick["blocks"]["train"]) < 20
    low, high = found.intervals["total_execution_s"]
    assert low < found.values["total_execution_s"] < high
    assert found.values["total_execution_s"] == near


def test_out_of_memory_ends_the_case_with_genuine_messages(python: str, tmp_path: Path) -> None:
    run = Run(
        python,
        tmp_path,
        make_spec(),
        TF_CPU_ALLOCATOR_USE_BFC="true",
        TF_CPU_BFC_MEM_LIMIT_IN_MB="150",
        TF_ENABLE_ONEDNN_OPTS="0",
    )
    assert run.code not in {0, contract.EXIT_BAD_SPEC}
    assert "ran out of memory trying to allocate" in run.stderr
    assert not list(run.out.iterdir())


def test_a_signal_ends_a_training(python: str, tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(make_spec(epochs=1000)))
    command = [python, str(WORKLOAD), "--spec", str(tmp_path / "spec.json")]
    process = subprocess.Popen(
        [*command, "--data", str(tmp_path), "--out", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    wait_for(process.stdout.readline, "epoch")
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 143
    assert sorted(p.name for p in tmp_path.iterdir()) == ["spec.json"]


def wait_for(readline: Callable[[], str], name: str) -> None:
    while line := readline():
        event = contract.parse_event(line)
        if event and event["event"] == name:
            return
    pytest.fail("the workload ended early")


DELAYS = {
    "tensorflow": """
        import tensorflow as tf
        from workload import tensorflow_backend
        gather = tensorflow_backend._Feed._gather
        def waited(step):
            time.sleep(0.05)
            return step
        def late(self, step):
            same = tf.numpy_function(waited, [step], tf.int64)
            same.set_shape(())
            return gather(self, same)
        def delay():
            tensorflow_backend._Feed._gather = late
    """,
    "jax": """
        from workload import feed
        following = feed.Feed.next
        def late(self):
            time.sleep(0.05)
            return following(self)
        def delay():
            feed.Feed.next = late
    """,
}
DELAYS["torch"] = DELAYS["jax"]
COMPARE = """
    from workload import input_cost
    from workload.keras_api import keras
    def measured():
        # Small, so that a busy machine's step is far below the delay: longer ones would hide it.
        model = keras.Sequential([
            keras.Input((32, 32, 3)), keras.layers.Flatten(), keras.layers.Dense(10)])
        model.compile("adam", "mse", metrics=["accuracy"], jit_compile=False)
        arrays = data.load(case.dataset, case.dataset.train, "")
        trainer = framework.trainer(model, arrays, case.batch_size, 1, False)
        pace = blocks.Pace()
        blocks.run_pass(trainer, 0, pace, time.monotonic, lambda *_: None)
        pace._steps = 30
        input_cost.ENOUGH_S = 120.0  # all pairs, however busy the machine
        return input_cost.compare(trainer, pace, time.monotonic)
    plain = measured()
    delay()
    print(json.dumps([plain, measured()]))
"""


def delayed(framework: str) -> str:
    parts = ("import time", DELAYS[framework], COMPARE)
    return "\n".join(textwrap.dedent(part) for part in parts)


def late_data_is_seen(plain: dict[str, Any], slow: dict[str, Any]) -> None:
    cost = input_cost(slow)
    assert cost is not None
    assert cost.bounds is not None
    assert cost.bounds[1] < BOUND_BELOW
    assert cost.ratio < 0.9

    def quickest_step(told: dict[str, Any]) -> float:
        """By the block that a busy machine held up least."""
        return min(block["seconds"] / block["steps"] for block in told["ordinary"])

    assert quickest_step(slow) > 0.045
    assert quickest_step(plain) < 0.95 * quickest_step(slow)


def test_fifty_milliseconds_a_batch_are_reported_as_the_inputs(python: str) -> None:
    spec = make_spec(train=400, batch_size=8)
    late_data_is_seen(*evaluate(python, spec, delayed("tensorflow")))


@pytest.mark.engine
@pytest.mark.parametrize("framework", ["jax", "torch"])
def test_the_same_in_the_other_frameworks(
    framework: str, engine: Engine, image_ids: dict[str, str]
) -> None:
    spec = make_spec(train=400, batch_size=8, framework=framework)
    late_data_is_seen(*evaluate_in(engine, image_ids[f"cpu-{framework}"], spec, delayed(framework)))


def test_a_batch_in_main_memory_and_one_on_the_card_are_the_same_training(python: str) -> None:
    """Without a second trace of the step, which would cost model B a minute."""
    body = """
        traced = []
        def losses(where):
            model = models.build(case, None)
            step = model.train_step
            def counted(batch):
                traced.append(where)
                return step(batch)
            model.train_step = counted
            model.set_weights(weights or model.get_weights())
            arrays = data.load(case.dataset, case.dataset.train, "")
            # All alike: either batch is the first one of some order.
            arrays = tuple(np.repeat(array[:1], 32, axis=0) for array in arrays)
            trainer = framework.trainer(model, arrays, 8, 1, False)
            trainer.begin(0)
            trainer.run(1)
            again = getattr(trainer, where)()
            told = []
            for _ in range(3):
                trainer.begin(0)
                again(backend_tf.constant(2))
                trainer.sync()
                told.append(trainer.metrics()["loss"])
            return told
        import tensorflow as backend_tf
        models.DROPOUT = 0.0
        weights = models.build(case, None).get_weights()
        print(json.dumps([losses("on_host"), losses("on_card"), traced]))
    """
    host, card, traced = evaluate(python, make_spec(train=32, batch_size=8), body)
    assert card == pytest.approx(host, rel=1e-3)
    assert host[0] > host[1] > host[2]
    assert traced == ["on_host", "on_card"]

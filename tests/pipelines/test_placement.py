"""What every stage gets on a cluster, as it stands in the compiled pipeline."""

import re

import pytest
from typer.testing import CliRunner

from components.image import DEFAULT_IMAGE
from metrifier_core import __version__
from metrifier_core.config.cluster import STAGES
from metrifier_core.config.run import ConfigError, load_config
from pipelines.compile import app
from tests.helpers.compiled_graphs import GRAPHS
from tests.pipelines.test_compile import CONFIG, executors_of, read, stages_of

DIGEST = "sha256:" + "0123456789abcdef" * 4
CLUSTER = """cluster={
  parallel_shards: 3, parallel_workers: 4,
  secrets: {store: {access: AWS_ACCESS_KEY_ID, secret: AWS_SECRET_ACCESS_KEY}},
  secret_files: {
    GOOGLE_APPLICATION_CREDENTIALS: {secret: google, key: account.json}, OTHER_ACCOUNT: {secret: google, key: other},
  },
  image_pull_secrets: [registry],
  stages: {
    train_metrifier: {
      cpu: 500m, memory: 3Gi, accelerator: nvidia.com/gpu, accelerators: 2, retries: 5, timeout_minutes: 7,
      node_selector: {pool: gpu}, tolerations: [{key: nvidia.com/gpu, operator: Exists, effect: NoSchedule}],
    },
    distort: {retries: 0, cache: false},
  },
}"""


def compile_with(folder, *options):
    output = folder / "metrifier.yaml"
    result = CliRunner().invoke(app, ["--config", str(CONFIG), "--output", str(output), *options])
    assert result.exit_code == 0, result.output
    return output


OF_FAMILIES = {"hold_out_family", "compare_families"}


@pytest.fixture(scope="module")
def placed(tmp_path_factory):
    """Executors, their platform settings and the tasks of pipelines that use every setting, by stage."""
    folder = tmp_path_factory.mktemp("placed")
    graphs = [read(compile_with(folder, CLUSTER, *more)) for more in ([], GRAPHS["families"])]

    def of(stage):
        name = stage.replace("_", "-")
        pipeline, platform = graphs[stage in OF_FAMILIES]
        parts = [pipeline["root"], *pipeline["components"].values()]
        tasks = {key: task for part in parts for key, task in part.get("dag", {}).get("tasks", {}).items()}
        return (
            pipeline["deploymentSpec"]["executors"][f"exec-{name}"]["container"],
            platform["deploymentSpec"]["executors"][f"exec-{name}"],
            tasks[name],
        )

    return of


@pytest.mark.parametrize("stage", sorted(set(STAGES) - {"train_metrifier"}))
def test_a_stage_gets_what_the_table_says(placed, stage):
    container, platform, task = placed(stage)
    resources = container["resources"]
    assert resources["resourceCpuRequest"] == STAGES[stage].cpu
    assert resources["resourceMemoryRequest"] == resources["resourceMemoryLimit"] == STAGES[stage].memory
    assert "accelerator" not in resources
    variables = {pair["name"]: pair.get("value") for pair in container["env"]}
    assert variables["METRIFIER_THREADS"] == STAGES[stage].cpu
    assert platform["activeDeadlineSeconds"] == str(60 * STAGES[stage].timeout_minutes)
    retries = 0 if stage == "distort" else STAGES[stage].retries
    policy = task.get("retryPolicy", {})
    assert policy.get("maxRetryCount", 0) == retries
    assert not retries or (policy["backoffDuration"], policy["backoffFactor"]) == ("60s", 2.0)
    # Argo counts the longest duration of all tries together, from the beginning of the first.
    tries, pauses = (retries + 1) * STAGES[stage].timeout_minutes * 60, sum(60 * 2**retry for retry in range(retries))
    assert not retries or int(policy["backoffMaxDuration"].removesuffix("s")) >= tries + pauses
    cached = STAGES[stage].cache and stage != "distort"
    assert task["cachingOptions"].get("enableCache", False) == cached


def test_what_opens_and_completes_a_run_is_done_in_every_run():
    uncached = {stage for stage, own in STAGES.items() if not own.cache}
    assert uncached == {"list_source", "compare_families", "register_metrifier", "close_run"}


def test_one_stage_can_have_more_than_the_others(placed):
    container, platform, task = placed("train_metrifier")
    resources = container["resources"]
    assert (resources["resourceCpuRequest"], resources["resourceMemoryLimit"]) == ("500m", "3Gi")
    assert {"name": "METRIFIER_THREADS", "value": "1"} in container["env"], "half a core is a thread"
    assert resources["accelerator"]["resourceType"] == "nvidia.com/gpu"
    assert resources["accelerator"]["resourceCount"] == "2"
    assert platform["nodeSelector"] == {"labels": {"pool": "gpu"}}
    assert platform["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert platform["activeDeadlineSeconds"] == "420"
    policy = {"maxRetryCount": 5, "backoffDuration": "60s", "backoffFactor": 2.0, "backoffMaxDuration": "8760s"}
    assert task["retryPolicy"] == policy


def test_every_stage_sees_the_secrets_and_its_runs_identity(placed):
    for stage in STAGES:
        container, platform, _ = placed(stage)
        (secret,) = platform["secretAsEnv"]
        assert secret["secretName"] == "store"
        assert {pair["secretKey"]: pair["envVar"] for pair in secret["keyToEnv"]} == {
            "access": "AWS_ACCESS_KEY_ID",
            "secret": "AWS_SECRET_ACCESS_KEY",
        }
        (volume,) = platform["secretAsVolume"]
        folder = "/var/run/secrets/metrifier/google"
        assert (volume["secretName"], volume["mountPath"]) == ("google", folder), "a secret of two files is one volume"
        variables = {pair["name"]: pair["value"] for pair in container["env"]}
        assert variables["GOOGLE_APPLICATION_CREDENTIALS"] == f"{folder}/account.json"
        assert variables["OTHER_ACCOUNT"] == f"{folder}/other"
        assert [pull["secretName"] for pull in platform["imagePullSecret"]] == ["registry"]
        (field,) = platform["fieldPathAsEnv"]
        assert field == {"name": "METRIFIER_RUN_ID", "fieldPath": "metadata.labels['pipeline/runid']"}


def test_the_run_is_no_input_which_would_defeat_the_cache(tmp_path):
    """Neither its identity nor its name, of any stage but the first, which opens it, and the report's."""
    compiled = compile_with(tmp_path)
    assert "pipeline_job_uuid" not in compiled.read_text()
    parts = read(compiled)[0]["components"]
    leaves = {name: part for name, part in parts.items() if "executorLabel" in part}
    for key, expected in (("name", {"list-source", "evaluate-spearman"}), ("experiment", {"list-source"})):
        told = {name for name, part in leaves.items() if key in part.get("inputDefinitions", {}).get("parameters", {})}
        assert told == {f"comp-{stage}" for stage in expected}


def test_loops_run_as_many_branches_as_they_may(tmp_path):
    pipeline, _ = read(compile_with(tmp_path, CLUSTER))
    limits = [
        task["iteratorPolicy"]["parallelismLimit"]
        for part in pipeline["components"].values()
        for task in part.get("dag", {}).get("tasks", {}).values()
        if "iteratorPolicy" in task
    ]
    assert sorted(limits) == [3, 4]


def test_a_failure_anywhere_closes_the_run(tmp_path):
    pipeline, _ = read(compile_with(tmp_path))
    closing = pipeline["root"]["dag"]["tasks"]["close-run"]
    assert closing["triggerPolicy"]["strategy"] == "ALL_UPSTREAM_TASKS_COMPLETED"
    assert {"download", "train-metrifier", "register-metrifier"} <= set(stages_of(pipeline))


def test_images_by_target_and_digest(tmp_path):
    options = ["--image", "registry.example:5000/all:1", "--image", "train=registry.example:5000/train:2"]
    output = compile_with(tmp_path, *options, "--digest", f"train={DIGEST}")
    images = {
        name.removeprefix("exec-"): executor["container"]["image"]
        for name, executor in executors_of(read(output)[0]).items()
    }
    assert images["distort"] == images["download"] == "registry.example:5000/all:1"
    assert images["train-metrifier"] == images["worker-evaluate"] == f"registry.example:5000/train@{DIGEST}"
    assert DEFAULT_IMAGE not in images.values()


def test_an_images_name_may_have_its_target_in_it(tmp_path):
    executors = executors_of(read(compile_with(tmp_path, "--image", "registry.example/metrifier-{target}:1"))[0])
    images = {name: executor["container"]["image"] for name, executor in executors.items()}
    assert images["exec-download"] == "registry.example/metrifier-ingest:1"
    assert images["exec-distort"] == "registry.example/metrifier-data:1"
    assert images["exec-train-metrifier"] == "registry.example/metrifier-train:1"


def test_one_image_for_all_stages_has_one_digest(tmp_path):
    output = compile_with(tmp_path, "--image", "localhost:5000/a/all_in-one:1", "--digest", DIGEST)
    images = {executor["container"]["image"] for executor in executors_of(read(output)[0]).values()}
    assert images == {f"localhost:5000/a/all_in-one@{DIGEST}"}


def test_images_that_nobody_names_are_those_that_make_images_makes(tmp_path):
    executors = read(compile_with(tmp_path))[0]["deploymentSpec"]["executors"]
    assert executors["exec-distort"]["container"]["image"] == f"metrifier-data:{__version__}"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--image", "trian=x"], "--image trian=x: unknown image 'trian', did you mean 'train'?"),
        (["--digest", "train=sha256:12"], "--digest sha256:12: expected sha256: and 64 hexadecimal digits"),
        (["--image", ""], "--image '': expected [HOST/]NAME[:TAG]"),
        (["--image", "train="], "--image '': expected [HOST/]NAME[:TAG]"),
        (["--image", "Foo Bar:::"], "--image 'Foo Bar:::': expected [HOST/]NAME[:TAG]"),
        (["--image", "registry.example/{traget}:1"], "in which only {target} is replaced"),
        (["--image", "registry.example/{target}:1", "--digest", DIGEST], "use TARGET=sha256:..."),
        (["--digest", DIGEST], "use TARGET=sha256:..."),
    ],
)
def test_a_wrong_image_is_refused_in_a_sentence(tmp_path, options, message):
    output = tmp_path / "metrifier.yaml"
    result = CliRunner().invoke(app, ["--config", str(CONFIG), "--output", str(output), *options])
    assert result.exit_code == 2
    assert message in result.output
    assert not output.exists()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("cluster.stages={distrot: {cpu: 1}}", "cluster.stages: unknown stage 'distrot', did you mean 'distort'?"),
        ("cluster.stages={distort: {cpus: 1}}", "cluster.stages.distort.cpus: unknown key, did you mean 'cpu'?"),
        ("cluster.stages={distort: {memory: much}}", "cluster.stages.distort.memory: expected a whole number and Ki,"),
        ("cluster.stages={distort: {memory: 500K}}", "cluster.stages.distort.memory: "),
        ("cluster.stages={distort: {memory: 16}}", "cluster.stages.distort.memory: "),
        ("cluster.stages={distort: {memory: 1.5Gi}}", "cluster.stages.distort.memory: "),
        ("cluster.stages={distort: {memory: 0Gi}}", "cluster.stages.distort.memory: "),
        ("cluster.stages={distort: {cpu: 0}}", "cluster.stages.distort.cpu: expected cores above zero"),
        ("cluster.stages={distort: {cpu: 0.0}}", "cluster.stages.distort.cpu: "),
        ("cluster.stages={distort: {cpu: 000m}}", "cluster.stages.distort.cpu: "),
        ("cluster.stages={distort: {cpu: -1}}", "cluster.stages.distort.cpu: "),
        ("cluster.stages={distort: {cpu: true}}", "cluster.stages.distort.cpu: "),
        ("cluster.stages={distort: {accelerators: 1}}", "cluster.stages.distort: accelerators: of what?"),
        ("cluster.stages={distort: {accelerator: gpu}}", "cluster.stages.distort.accelerator: "),
        ("cluster.stages={distort: {node_selector: {pool: 'a b'}}}", "cluster.stages.distort.node_selector.pool: "),
        (
            "cluster.stages={distort: {tolerations: [{key: gpu, operator: Exists, value: x}]}}",
            "cluster.stages.distort.tolerations.0: value: operator Exists takes any",
        ),
        (
            "cluster.stages={distort: {tolerations: [{value: x}]}}",
            "cluster.stages.distort.tolerations.0: key: is missing",
        ),
        ("cluster.secrets={store: {access: 'AWS KEY'}}", "cluster.secrets.store.access: "),
        ("cluster.secrets={store: {'a/b': AWS_KEY}}", "cluster.secrets.store.a/b"),
        ("cluster.secrets={My_Secret/x: {access: AWS_KEY}}", "cluster.secrets.My_Secret/x"),
        ("cluster.secret_files={KEY: {secret: my.store, key: a}}", "cluster.secret_files.KEY.secret: expected small "),
        ("cluster.secret_files={KEY: {secret: store, key: a/b}}", "cluster.secret_files.KEY.key: "),
        ("cluster.secret_files={KEY: {secret: store}}", "cluster.secret_files.KEY.key: is missing"),
        ("cluster.secret_files={MY KEY: {secret: store, key: a}}", "cluster.secret_files.MY KEY"),
        (
            "cluster={secrets: {a: {k: KEY}}, secret_files: {KEY: {secret: b, key: k}}}",
            "cluster: secret_files.KEY: secrets.a gives this variable another value",
        ),
        ("cluster.image_pull_secrets=[Registry]", "cluster.image_pull_secrets.0: "),
        ("cluster.parallel_shards=0", "cluster.parallel_shards: "),
    ],
)
def test_a_wrong_cluster_is_refused_by_its_key(override, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}"):
        load_config(CONFIG, [override])


def test_cores_may_be_plain_numbers_and_one_accelerator_is_given_where_no_number_stands(tmp_path):
    own = "cluster.stages={distort: {cpu: 8}, download: {cpu: 0.5}, train_metrifier: {accelerator: nvidia.com/gpu}}"
    executors = executors_of(read(compile_with(tmp_path, own))[0])
    resources = {name: executor["container"]["resources"] for name, executor in executors.items()}
    assert resources["exec-distort"]["resourceCpuRequest"] == "8"
    assert resources["exec-download"]["resourceCpuRequest"] == "0.5"
    assert resources["exec-train-metrifier"]["accelerator"]["resourceCount"] == "1"


def test_new_images_at_the_same_address_are_never_taken_from_the_cache(tmp_path):
    """The source is listed in every run, and `download` is cached by what the list says."""
    pipeline, _ = read(compile_with(tmp_path))
    tasks = pipeline["components"]["comp-exit-handler-1"]["dag"]["tasks"]
    assert "enableCache" not in tasks["list-source"].get("cachingOptions", {})
    assert tasks["download"]["cachingOptions"] == {"enableCache": True}
    listing = tasks["download"]["inputs"]["parameters"]["listing"]["taskOutputParameter"]
    assert listing == {"outputParameterKey": "Output", "producerTask": "list-source"}


def test_defaults_are_written_as_they_stand(tmp_path):
    """A person who reads the file sees every stage's resources without looking into this package."""
    pipeline, platform = read(compile_with(tmp_path))
    assert set(platform["deploymentSpec"]["executors"]) == set(executors_of(pipeline))
    written = {"resourceCpuRequest", "resourceMemoryRequest", "resourceMemoryLimit"}
    for name, executor in executors_of(pipeline).items():
        assert written <= set(executor["container"]["resources"])
        assert int(platform["deploymentSpec"]["executors"][name]["activeDeadlineSeconds"]) > 0


def test_imagenets_own_config_compiles(tmp_path):
    entry = f"alexnet: {{format: alexnet, family: AlexNet, weights: alexnet.weights.h5, sha256: '{64 * '0'}'}}\n"
    (tmp_path / "alexnet.yaml").write_text(entry)
    config = tmp_path / "imagenet.yaml"
    config.write_text(CONFIG.with_name("imagenet.yaml").read_text())
    output = tmp_path / "metrifier.yaml"
    result = CliRunner().invoke(app, ["--config", str(config), "--output", str(output)])
    assert result.exit_code == 0, result.output
    container = read(output)[0]["deploymentSpec"]["executors"]["exec-train-metrifier"]["container"]
    assert container["resources"]["accelerator"]["resourceCount"] == "4"

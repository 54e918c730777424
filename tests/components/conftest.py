"""The artifacts of every component, made once for all tests that read them."""

import pytest
from kfp.dsl import HTML, Artifact, Dataset, Markdown, Metrics, Model

import components
from metrifier_core.config.run import load_config
from tests.helpers.colour_runs import write_colour_run


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """Run the components in the order of the pipeline; return their artifacts and inputs by name."""
    folder = tmp_path_factory.mktemp("artifacts")

    def artifact(kind, name):
        return kind(name=name, uri=str(folder / name))

    config_file = write_colour_run(tmp_path_factory.mktemp("colours"))
    # A metrifier that learns little, for test_gate.py to train better and worse ones.
    config = load_config(config_file, ["workers.together=2", "metrifier.learning_rate=1e-4"]).pipeline_arguments()
    seed, shards = config["seed"], config["shards"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        patch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.5")  # a training here takes seconds
        images, rejected = artifact(Dataset, "images"), artifact(Dataset, "rejected")
        sharded = {"source": config["source"], "splits": config["splits"], "seed": seed, "shards": shards}
        uris = components.download.python_func(**sharded, images=images, rejected=rejected)
        prepared = artifact(Model, "prepared")
        components.prepare_workers.python_func(workers=config["workers"], seed=seed, images=images, prepared=prepared)
        versions, losses = [], []
        for shard, uri in enumerate(uris):
            versions.append(artifact(Dataset, f"versions {shard}"))
            components.distort.python_func(
                distortions=config["distortions"], seed=seed, images=Dataset(uri=uri), versions=versions[-1]
            )
            parts = []
            for index, workers in enumerate(config["worker_groups"]):
                parts.append(artifact(Dataset, f"losses {index} {shard}"))
                components.worker_evaluate.python_func(
                    workers=workers, prepared=prepared, versions=versions[-1], losses=parts[-1]
                )
            losses.append(artifact(Dataset, f"losses {shard}"))
            components.join_losses.python_func(parts=parts, losses=losses[-1])
        quality = artifact(Dataset, "quality")
        components.merge_dataset.python_func(
            distortions=config["distortions"],
            merge=config["merge"],
            rejected=rejected,
            prepared=prepared,
            losses=losses,
            quality=quality,
        )
        model = artifact(Model, "model")
        components.train_metrifier.python_func(
            metrifier=config["metrifier"], seed=seed, versions=versions, quality=quality, model=model
        )
        metrics, report = artifact(Metrics, "metrics"), artifact(HTML, "report")
        evaluated = artifact(Artifact, "evaluated")
        sections = ("source", "splits", "distortions", "workers", "merge", "metrifier", "evaluation")
        components.evaluate_spearman.python_func(
            name="colours",
            seed=seed,
            shards=shards,
            **{section: config[section] for section in sections},
            rejected=rejected,
            prepared=prepared,
            versions=versions,
            losses=losses,
            quality=quality,
            model=model,
            metrics=metrics,
            report=report,
            evaluated=evaluated,
        )
        registered, model_card = artifact(Artifact, "registered"), artifact(Markdown, "model_card")
        components.register_metrifier.python_func(
            tracking=config["tracking"],
            versions=versions,
            quality=quality,
            model=model,
            metrics=metrics,
            report=report,
            evaluated=evaluated,
            registered=registered,
            model_card=model_card,
        )
        made = {name: value for name, value in locals().items() if isinstance(value, Artifact | list)}
        return {**made, "config": config}

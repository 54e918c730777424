"""What became of a metrifier in the registry."""

from metrifier_core.settings.base import Settings


class Registration(Settings):
    """What `registered.json` holds.

    Attributes:
        model_name: Name of the registered model.
        version: Its new version; None while it waits for MLflow.
        champion: Whether that version is the champion.
        gate: Why, or why not.
        experiment_id: Experiment of the pipeline's run in MLflow.
        run_id: That run.
    """

    model_name: str
    version: str | None = None
    champion: bool = False
    gate: str
    experiment_id: str | None = None
    run_id: str | None = None

    def __str__(self) -> str:
        standing = "the champion" if self.champion else "a challenger"
        return f"{self.model_name} version {self.version}, {standing}: {self.gate}"

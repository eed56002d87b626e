"""The training loop."""

import logging
import shutil
import time
from collections.abc import Iterator
from contextlib import closing, nullcontext
from dataclasses import asdict, dataclass, field
from math import isfinite
from typing import Final

import torch
from pydantic import TypeAdapter

from clipc.errors import UserError
from clipc.evaluate.embed import Encoder
from clipc.files import restore_folder
from clipc.models.model import ClipModel
from clipc.models.projection import plain_state_dict
from clipc.models.text_tower import computed_tokens
from clipc.prepare.feature_renderer import FeatureRun
from clipc.progress import Progress
from clipc.recipe.recipe import Recipe
from clipc.recipe.run import Run
from clipc.render.batch import Batch
from clipc.render.features import FeatureRenderer
from clipc.render.loader import choose_num_workers, load
from clipc.render.resident import ResidentRenderer
from clipc.render.worker import WorkerRenderer
from clipc.train.average import WeightAverage
from clipc.train.checkpoint import (
    State,
    check_state,
    checkpoint_steps,
    clean_checkpoints,
    load_checkpoint,
    save_checkpoint,
)
from clipc.train.distributed import World
from clipc.train.diverged import diverged
from clipc.train.interrupt import Interrupted, StopFlag
from clipc.train.learner import Learner
from clipc.train.metrics_logger import MetricsLogger, RunCounters, open_log
from clipc.train.throughput import Meter, StepFlops
from clipc.train.timing import Timer
from clipc.train.validation import SELECTION_METRIC, Validation, validate
from clipc.train.wise_ft import write_models

logger = logging.getLogger(__name__)

LOG_EVERY: Final = 10
"""Steps between two lines of the log. Several processes synchronise only at these steps and at validation, to sum their
counts and to agree whether to stop."""


@dataclass
class Trainer:
    """A run in progress: its batches, its model and optimizer, and the state of the loop.

    Attributes:
        recipe: The configuration of the run.
        run: The run folder.
        world: The processes that train together.
        renderer: The renderer of the batches.
        validation: The pairs on which models are selected; None without validation.
        learner: The model and its optimizer.
        steps: The number of steps of the whole run.
        step: The number of steps done.
        best: With selection ``best`` the metrics of the best step on validation so far, otherwise those of the last
            validation; with the number of the step as ``step``. None before the first validation.
        average: The averaged weights with selection ``ema``, in the main process; otherwise None.
        counters: The counts of the run so far.
        feature_run: What a run on kept features needs; None for other runs.
    """

    recipe: Recipe
    run: Run
    world: World
    renderer: WorkerRenderer | ResidentRenderer | FeatureRenderer
    validation: Validation | None
    learner: Learner
    steps: int
    step: int = 0
    best: dict[str, float] | None = None
    average: WeightAverage | None = None
    counters: RunCounters = field(default_factory=RunCounters)
    feature_run: FeatureRun | None = None

    @property
    def model(self) -> ClipModel:
        """The model in training."""
        return self.learner.model

    @property
    def renderer_name(self) -> str:
        """The renderer's name in a recipe."""
        names = {WorkerRenderer: "worker", ResidentRenderer: "resident", FeatureRenderer: "features"}
        return names[type(self.renderer)]

    @property
    def encoder(self) -> Encoder:
        """What evaluation measures: the model, on kept features if it is trained on them."""
        return self.model if self.feature_run is None else self.feature_run.encoder(self.model)

    @property
    def precision(self) -> str:
        """The precision of the towers, such as ``bfloat16``."""
        return str(self.learner.precision).removeprefix("torch.")

    def batches(self) -> Iterator[Batch]:
        """This process's share of each batch, from the current step on."""
        device, recipe = self.model.device, self.recipe
        pixels_device = self.renderer.pixels.values.device if isinstance(self.renderer, ResidentRenderer) else None
        if isinstance(self.renderer, FeatureRenderer):
            pixels_device = device  # A batch is made faster than a worker process could hand it over.
        return load(
            self.renderer,
            recipe.batch_size,
            range(self.step, self.steps),
            workers=choose_num_workers(
                recipe.num_workers, device, pixels_device, processes=self.world.local_size, threads=recipe.threads
            ),
            rank=self.world.rank,
            ranks=self.world.size,
            pin=device.type == "cuda",
        )

    def fit(self, progress: Progress, stop: StopFlag) -> None:
        """Trains to the last step, validates at regular steps, and writes the selected and the last model.

        Args:
            progress: Called with the number of training examples seen.
            stop: The flag that requests an early stop, read between steps.

        Raises:
            clipc.train.diverged.Diverged: The loss or a weight is not finite.
            Interrupted: A stop was requested; a checkpoint has been written.
        """
        # Trunks, which take most operations, are not run on kept features.
        flops = None if isinstance(self.renderer, FeatureRenderer) else StepFlops.count(self.model)
        meter = Meter(self.model.device, self.learner.precision, flops, ranks=self.world.size)
        with closing(open_log(self.run, self.recipe, meter, self.step)) as metrics_logger:
            self._train(metrics_logger, progress, stop)
        message = None
        if self.world.main:
            try:
                self._finish(stop)
            except Interrupted as interrupted:
                message = str(interrupted)
        if (message := self.world.broadcast(message)) is not None:
            raise Interrupted(message)

    def _train(self, metrics_logger: MetricsLogger, progress: Progress, stop: StopFlag) -> None:
        size, world = self.recipe.batch_size, self.world
        batches = self.batches()
        last_save, recent = time.monotonic(), RunCounters()
        progress("training", self.step * size, self.steps * size)
        exhausted = world.any(self._out_of_patience())
        while self.step < self.steps and not exhausted:
            timer = Timer()
            batch = next(batches)
            loading_seconds = timer.seconds
            loss = self.learner.learn(batch, self.step)
            self.step += 1
            if self.average is not None:
                self.average.update(self.model.clip)
            # On a GPU this test would wait for the step to end, so there only `_log` tests the loss.
            if loss.device.type == "cpu" and not torch.isfinite(loss):
                raise diverged(self.recipe, self.run, self.step)
            for row in batch.unreadable:
                metrics_logger.write(self.step, {"unreadable": self.renderer.plans.catalog.keys[row]})
            tokens = computed_tokens(self.model.clip, batch.tokens, self.recipe.grad_cache_chunks)
            metrics_logger.meter.tick(len(batch), loading_seconds, tokens)
            last = self.step == self.steps
            validating = self.validation is not None and (self.step % self._validation_interval == 0 or last)
            synchronising = validating or self.step % LOG_EVERY == 0 or last
            if synchronising:
                self._log(float(loss), metrics_logger)
                progress("training", self.step * size, self.steps * size)
            recent.count(batch, timer)  # After `_log`, which waits for the GPU to finish these steps.
            improved = validating and world.main and self._validate(float(loss), metrics_logger)
            exhausted = validating and self.recipe.patience is not None and world.any(self._out_of_patience())
            if synchronising or world.size == 1:
                self.counters.add(recent, world)
                recent = RunCounters()
                self.counters.check_unreadable(self.step * size, self.renderer.plans.catalog.root, self.run)
                if world.any(stop.requested):
                    self._save()
                    world.barrier()  # If another process ended during the write, the launcher would kill rank 0.
                    raise Interrupted(
                        f"stopped at step {self.step} of {self.steps}; the same command resumes from there."
                    )
                overdue = time.monotonic() - last_save > self.recipe.checkpoint_seconds and not last
                if overdue or (improved and not self._deterministic):
                    self._save()
                    last_save = time.monotonic()

    @property
    def _validation_interval(self) -> int:
        """The number of steps between two validations."""
        return -(-self.steps // max(1, self.recipe.validations))

    def _out_of_patience(self) -> bool:
        """Whether so many validations have passed since the best one that the run ends; known to the main process."""
        if self.recipe.patience is None or self.best is None:
            return False
        return (self.step - self.best["step"]) // self._validation_interval >= self.recipe.patience

    @property
    def _deterministic(self) -> bool:
        """Whether repeated steps give the same weights.

        If not, every improvement needs a checkpoint; otherwise a resumed run might not reproduce the best model
        already saved.
        """
        return self.model.device.type == "cpu" and self.world.size == 1

    def _log(self, loss: float, metrics_logger: MetricsLogger) -> None:
        loss = self.world.sum([loss])[0] / self.world.size
        if not isfinite(loss):
            raise diverged(self.recipe, self.run, self.step)
        if self.world.main:
            rate = max(group["lr"] for group in self.learner.optimizer.param_groups)
            metrics = {"learning_rate": rate, "logit_scale": float(self.model.logit_scale.detach().exp())}
            metrics_logger.write(self.step, {"loss": loss, **metrics, **metrics_logger.meter.metrics()})

    def _validate(self, loss: float, metrics_logger: MetricsLogger) -> bool:
        """Validates the weights that the run is judged by so far; whether they were saved as the best ones."""
        assert self.validation is not None
        timer = Timer()
        selecting = self.recipe.selection == "best"
        with self.average.applied(self.model.clip) if self.average is not None else nullcontext():
            metrics = validate(self.model, self.validation, self.learner.precision)
            improved = self.best is None or metrics[SELECTION_METRIC] > self.best[SELECTION_METRIC]
            if improved or not selecting:
                self.best = {"step": self.step, **metrics}
                self.model.save(self.run.model, plain_state_dict(self.model.clip))
        metrics_logger.write(self.step, {"validation": metrics})
        self.counters.validation_core_seconds += timer.core_seconds
        metrics_logger.meter.restart()
        logger.info(f"step {self.step:,}: loss {loss:.3f}, mean recall {metrics[SELECTION_METRIC]:.1%} on validation.")
        return improved and selecting

    def resume(self) -> None:
        """Loads the newest checkpoint that can be read, if there is one, and removes the traces of later steps.

        Raises:
            UserError: The processes see different checkpoints, or no checkpoint can be read.
        """
        state = load_checkpoint(self.run.checkpoints, self._restore)
        step = state.step if state else 0
        if self.world.any(step != self.world.broadcast(step)):
            raise UserError(
                f"the processes of this job see different checkpoints in {self.run.checkpoints}; "
                "put the run folder on a disk that all machines share."
            )
        self.run.drop_metrics_after(self.step)
        if self.world.main:
            clean_checkpoints(self.run.checkpoints, self.step)
            restore_folder(self.run.model)
            restore_folder(self.run.last_model)

    @property
    def _moment(self) -> dict[str, str]:
        """What a checkpoint must have been written by: a run of this identity, in this precision."""
        return {"run": (self.run.read_json("environment.json") or {}).get("run", ""), "precision": self.precision}

    def _restore(self, state: State) -> None:
        check_state(state, self.model.clip.state_dict(), self._moment)
        counters = TypeAdapter(RunCounters).validate_python(state.loop_state["tally"])
        self.model.clip.load_state_dict(state.model)
        self.learner.optimizer.load_state_dict(state.optimizer)
        if self.average is not None:
            self.average.load(state.average)
        self.step, self.best, self.counters = state.step, state.loop_state["best"], counters

    def _save(self) -> None:
        if self.world.main:
            # A finite loss does not prove finite weights, and on a GPU the loss is checked only when it is logged.
            if not all(bool(tensor.isfinite().all()) for tensor in self.model.parameters()):
                raise diverged(self.recipe, self.run, self.step)
            # "tally" is the counters' key in checkpoints that exist.
            loop_state = {"best": self.best, "tally": asdict(self.counters), **self._moment}
            weights, optimizer = self.model.clip.state_dict(), self.learner.optimizer.state_dict()
            average = {} if self.average is None else self.average.tensors
            save_checkpoint(self.run.checkpoints, State(self.step, weights, optimizer, loop_state, average))

    def _finish(self, stop: StopFlag) -> None:
        if self.recipe.wise_ft and checkpoint_steps(self.run.checkpoints)[-1:] != [self.step]:
            self._save()  # If the interpolation is interrupted, no step is lost.
        best, facts = write_models(
            self.recipe, self.run, self.model, self.validation, self.learner.precision, self.best, stop, self.average
        )
        examples = self.step * self.recipe.batch_size
        self.run.write_json(
            "finished.json",
            {
                "selection": self.recipe.selection,
                "steps": self.step,
                "samples": examples,
                "epochs": examples / len(self.renderer.plans.catalog),
                "parameters": self.model.parameter_count,
                "image_size": self.model.image_size,
                # An interpolated model has no step; use the last.
                "best": best and {"step": self.step, **best},
                **facts,
                **{
                    f"{name}_core_seconds": seconds for name, seconds in self.renderer.plans.inputs.core_seconds.items()
                },
                **self.counters.summary(examples),
            },
        )
        shutil.rmtree(self.run.checkpoints, ignore_errors=True)  # A finished run needs only its models.

"""Of a window of a series, what comes next."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from service.errors import SettingsError
from training.baselines.baseline import Baseline
from training.baselines.last_value import LastValue
from training.baselines.linear_regression import LinearRegression
from training.baselines.seasonal_naive import SeasonalNaive
from training.bootstrap import DRAWS, Resampling, block_of
from training.data.material import Material
from training.data.split import Split
from training.export import BATCH, LENGTH, Signature
from training.networks.recurrent import Recurrent, Steps
from training.problems.inputs import SAMPLES, name_of
from training.problems.problem import Form
from training.problems.regression import VALUES, Regression
from training.session import Tensors

STATE = "state"
STATE_OUT = "state_out"


@dataclass(frozen=True, kw_only=True)
class Forecasting(Regression):
    """Regression of the next steps. `period` is that of the seasons, in steps, 0 where there are none.

    Windows are taken to be in order of time, and those that lie together to be foretold alike well.
    """

    period: int = 0

    def __post_init__(self) -> None:
        if self.period < 0:
            raise ValueError("period: must not be below 0")

    def decided(self, material: Material) -> Mapping[str, Any]:
        """As of any regression. Raises SettingsError unless inputs are windows."""
        inputs = material.dataset.train.inputs
        if name_of(inputs) != "window":
            text = f"are {inputs.dtype} {list(inputs.shape)}, and windows of a series are float32 [N, T, F]"
            raise SettingsError(f"problem: the data's inputs {text}; of rows, regression is the problem")
        return super().decided(material)

    def resampling(self, split: Split) -> Resampling:
        """In blocks, by seasons: one source has as many steps as are foretold."""
        season = -(-self.period // split.targets.shape[1])
        return replace(DRAWS, block=block_of(split.sources, season))

    def outputs(self, material: Material) -> tuple[str, ...]:
        """The horizons."""
        return tuple(f"t+{step}" for step in range(1, material.dataset.train.targets.shape[1] + 1))

    def forms(self, network: nn.Module, material: Material) -> Mapping[str, Form]:
        """Windows to values; of a recurrent network that needs no whole window, also `steps`.

        That takes the next values of a series, window [N, T, F], and answers values [N, T, K] after each of them; a
        server keeps its `state`.
        """
        whole = super().forms(network, material)
        if not isinstance(network, Recurrent) or not network.config.steps:
            return whole
        windows = material.dataset.validation.inputs[:SAMPLES]
        with torch.inference_mode():
            begin = torch.zeros(len(windows), *network.config.state_shape)
            _, state = network.step(torch.from_numpy(windows), begin)
        signature = Signature(
            inputs={"window": LENGTH, STATE: BATCH},
            outputs={VALUES: LENGTH, STATE_OUT: BATCH},
        )
        stepwise = Form(
            module=Steps(network),
            signature=signature,
            samples=[windows, state.numpy()],
            states={STATE: STATE_OUT},
        )
        return {**whole, "steps": stepwise}

    def baselines(self, material: Material) -> Mapping[str, Tensors]:
        """As now, as a season ago, and the best that a linear model of the window can do."""
        dataset = material.dataset
        models: dict[str, Baseline] = {"last value": LastValue(dataset.train)}
        if self.period:
            models["seasonal naive"] = SeasonalNaive(dataset.train, period=self.period)
        models["linear regression"] = LinearRegression(dataset.train)
        return {name: {VALUES: model.predict(dataset.test.inputs)} for name, model in models.items()}

"""Several processes that train one model, each with its share of every mini-batch, as torchrun starts them.

DistributedDataParallel averages their gradients; here is what else they have to tell each other. The first
leads: it alone records, evaluates and shows, and the others follow. All of them draw the same order and the
same noise, so that they see together what one process would see alone.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from vae_core.errors import SettingsError, TrainingError
from vae_core.settings import Settings

LEADER = 0
LOST_PROCESS = "another process of this training has ended; its own message says why"


@dataclass(frozen=True)
class Group:
    """The processes that train together, as one of them sees them; by default it is alone.

    Whatever they tell each other blocks until all have said it, and raises a RuntimeError, for which see
    `is_lost_process`, if one of them has ended instead.
    """

    rank: int = LEADER
    count: int = 1

    @property
    def leads(self) -> bool:
        return self.rank == LEADER

    def check(self, settings: Settings, device: torch.device) -> None:
        """Whether these processes can share such a training.

        Raises:
            SettingsError: a mini-batch has no equal shares, or there is not one GPU for each process.
        """
        if settings.batch_size % self.count:
            raise SettingsError(
                "batch_size",
                f"batch_size {settings.batch_size} has no equal shares for {self.count} processes; "
                f"expected a multiple of {self.count}",
            )
        if self.count == 1 or device.type != "cuda":
            return
        if device.index is not None:
            raise SettingsError(
                "device", f"{self.count} processes cannot share {device}; expected --device cuda"
            )
        # All refuse, before a run is made.
        if int(os.environ["LOCAL_WORLD_SIZE"]) > torch.cuda.device_count():
            raise SettingsError(
                "device",
                f"PyTorch sees {torch.cuda.device_count()} CUDA devices; expected one for each process here, "
                "or --device cpu",
            )

    def share(self, batch: Tensor) -> Tensor:
        """This process's part of what belongs to a whole mini-batch."""
        return batch.chunk(self.count)[self.rank]

    def averaging(self, loss: nn.Module) -> nn.Module:
        """The loss of a share as a module whose gradients come out as those of the whole mini-batch."""
        return loss if self.count == 1 else DistributedDataParallel(loss, broadcast_buffers=False)

    def mean(self, share: Tensor) -> Tensor:
        """The mean of all processes' values."""
        if self.count == 1:
            return share
        total = share.detach().clone()
        dist.all_reduce(total)
        return total / self.count

    def broadcast(self, word: bool) -> bool:
        """What the leader says; the others' word does not count."""
        if self.count == 1:
            return word
        said = torch.tensor(word)
        dist.broadcast(said, LEADER)
        return bool(said)

    def any(self, word: bool) -> bool:
        """Whether one of them says so."""
        if self.count == 1:
            return word
        said = torch.tensor(int(word))
        dist.all_reduce(said, dist.ReduceOp.MAX)
        return bool(said)

    def send(self, content: bytes) -> None:
        """Sends something from the leader, who calls this, to all others, who `receive` it."""
        if self.count > 1:
            dist.broadcast(torch.tensor(len(content)), LEADER)
            dist.broadcast(torch.frombuffer(bytearray(content), dtype=torch.uint8), LEADER)

    def receive(self) -> bytes:
        """What the leader sends."""
        size = torch.tensor(0)
        dist.broadcast(size, LEADER)
        content = torch.empty(int(size), dtype=torch.uint8)
        dist.broadcast(content, LEADER)
        return content.numpy().tobytes()


ALONE = Group()


@contextmanager
def joined() -> Iterator[Group]:
    """The group that torchrun started this process in, with a GPU for each where there are any."""
    started_by_torchrun = dist.is_available() and dist.is_torchelastic_launched()
    if not started_by_torchrun or int(os.environ["WORLD_SIZE"]) == 1:
        yield ALONE
        return
    on_gpus = torch.cuda.is_available()
    if on_gpus and _local_rank() < torch.cuda.device_count():
        torch.cuda.set_device(_local_rank())  # which plain "cuda" then means
    try:
        dist.init_process_group("cpu:gloo,cuda:nccl" if on_gpus else "gloo")
    except RuntimeError as error:
        raise TrainingError(f"the processes cannot find each other ({str(error).splitlines()[0]})") from error
    try:
        yield Group(dist.get_rank(), dist.get_world_size())
    except BaseException:
        # torchrun ends all when one fails; this one says why first.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise
    dist.destroy_process_group()  # not after an error: it could wait for a process that is gone


def is_lost_process(error: Exception) -> bool:
    """Whether this is how PyTorch says that another process of the group cannot be reached any more."""
    text = str(error)
    return isinstance(error, dist.DistNetworkError) or "gloo" in text or "remote process exited" in text


def _local_rank() -> int:
    """This process's number among those on its own machine."""
    return int(os.environ["LOCAL_RANK"])

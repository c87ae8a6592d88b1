"""Muon: torch's own on matrices, the same on kernels seen as matrices, AdamW on all else."""

from __future__ import annotations

import copy

import pytest
import torch
from conftest import tiny_unet
from torch import nn

from story_ldm.training.optimizers import Muon, muon_groups, orthogonalized


def gradients(parameters: list[nn.Parameter], step: int) -> None:
    generator = torch.Generator().manual_seed(step)
    for parameter in parameters:
        parameter.grad = torch.randn(parameter.shape, generator=generator)


@pytest.mark.parametrize("shape", [(24, 60), (60, 24), (32, 32)])
def test_orthogonalized(shape):
    """Singular values, spread over three orders, come near one, and the singular vectors stay."""
    torch.manual_seed(0)
    u, _, v = torch.linalg.svd(torch.randn(3, *shape), full_matrices=False)
    values = torch.logspace(0, -1.5, min(shape)).expand(3, -1)
    found = orthogonalized((u * values[:, None]) @ v).float()
    core = u.mT @ found @ v.mT  # (3, n, n), diagonal but for bfloat16
    diagonal = core.diagonal(dim1=1, dim2=2)
    assert 0.5 < diagonal.min() and diagonal.max() < 1.3
    assert (core - torch.diag_embed(diagonal)).abs().max() < 0.06


def test_matrices_are_stepped_as_by_torch():
    torch.manual_seed(0)
    mine = [nn.Parameter(torch.randn(shape)) for shape in ((20, 45), (20, 45), (45, 20))]
    theirs = copy.deepcopy(mine)
    ours = Muon([{"params": mine, "muon": True}], lr=1e-2, weight_decay=0.1)
    torchs = torch.optim.Muon(theirs, lr=1e-2, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    for step in range(5):
        gradients(mine, step), gradients(theirs, step)
        ours.step(), torchs.step()
    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(a, b, atol=2e-4, rtol=0)  # steps are 5e-2 in all; batched products round otherwise in bfloat16


def test_a_kernel_is_a_matrix():
    torch.manual_seed(0)
    kernel = nn.Parameter(torch.randn(12, 5, 3, 3).to(memory_format=torch.channels_last))
    matrix = nn.Parameter(kernel.detach().flatten(1).clone())
    optimizers = [Muon([{"params": [p], "muon": True}], lr=1e-2) for p in (kernel, matrix)]
    for step in range(3):
        gradients([matrix], step)
        kernel.grad = matrix.grad.view(12, 5, 3, 3).clone()
        for optimizer in optimizers:
            optimizer.step()
    assert torch.equal(kernel.flatten(1), matrix)


def test_the_rest_is_adamw_and_all_is_restored():
    """Groups without muon equal AdamW; a state that was saved and loaded goes on alike, as a resumed run does."""
    unet = tiny_unet()
    groups = muon_groups(unet)
    counted = [id(p) for group in groups for p in group["params"]]
    assert sorted(counted) == sorted(id(p) for p in unet.parameters()), "every parameter once"
    first_and_last = (unet.conv_in.weight, unet.conv_out.weight, unet.time_embedding.linear_1.weight)
    assert not {id(p) for p in first_and_last} & {id(p) for p in groups[0]["params"]}

    other = copy.deepcopy(unet)
    optimizer = Muon(groups, lr=1e-3, weight_decay=0.1, betas=(0.9, 0.99))
    rest = [dict(other.named_parameters())[name] for name, p in unet.named_parameters() if p in set(groups[1]["params"])]
    adamw = torch.optim.AdamW(rest, lr=1e-3, weight_decay=0.1, betas=(0.9, 0.99))
    for step in range(3):
        gradients(list(unet.parameters()), step), gradients(list(other.parameters()), step)
        optimizer.step(), adamw.step()
    assert all(torch.equal(a, b) for a, b in zip(groups[1]["params"], rest, strict=True))

    twin = copy.deepcopy(unet)
    resumed = Muon(muon_groups(twin), lr=1e-3, weight_decay=0.1, betas=(0.9, 0.99))
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for model, steps in ((unet, optimizer), (twin, resumed)):
        gradients(list(model.parameters()), 9)
        steps.step()
    assert all(torch.equal(a, b) for a, b in zip(unet.parameters(), twin.parameters(), strict=True))


def test_vectors_are_refused():
    with pytest.raises(AssertionError, match="matrices and kernels"):
        Muon([{"params": [nn.Parameter(torch.zeros(3))], "muon": True}], lr=1e-3)

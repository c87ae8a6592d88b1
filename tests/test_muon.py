"""Muon: equal to torch's on matrices, the same on kernels viewed as matrices, and AdamW for all other parameters."""

from __future__ import annotations

import copy

import pytest
import torch
from conftest import tiny_unet, tiny_vae
from torch import nn

from story_ldm.training.optimizers import Muon, muon_groups, orthogonalized


def set_gradients(parameters: list[nn.Parameter], step: int) -> None:
    generator = torch.Generator().manual_seed(step)
    for parameter in parameters:
        parameter.grad = torch.randn(parameter.shape, generator=generator)


@pytest.mark.parametrize("shape", [(24, 60), (60, 24), (32, 32)])
def test_orthogonalized(shape):
    """Singular values between 0.03 and 1 become about 1, and the singular vectors stay."""
    torch.manual_seed(0)
    u, _, v = torch.linalg.svd(torch.randn(3, *shape), full_matrices=False)
    values = torch.logspace(0, -1.5, min(shape)).expand(3, -1)
    result = orthogonalized((u * values[:, None]) @ v).float()
    core = u.mT @ result @ v.mT  # (3, n, n), diagonal up to bfloat16's rounding
    diagonal = core.diagonal(dim1=1, dim2=2)
    assert 0.5 < diagonal.min() and diagonal.max() < 1.3
    assert (core - torch.diag_embed(diagonal)).abs().max() < 0.06


def test_steps_on_matrices_equal_those_of_torch(monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)  # torch's own is in bfloat16 everywhere
    torch.manual_seed(0)
    matrices = [nn.Parameter(torch.randn(shape)) for shape in ((20, 45), (20, 45), (45, 20))]
    copies = copy.deepcopy(matrices)
    optimizer = Muon([{"params": matrices, "muon": True}], lr=1e-2, weight_decay=0.1)
    reference = torch.optim.Muon(copies, lr=1e-2, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    for step in range(5):
        set_gradients(matrices, step), set_gradients(copies, step)
        optimizer.step(), reference.step()
    for a, b in zip(matrices, copies, strict=True):
        torch.testing.assert_close(a, b, atol=2e-4, rtol=0)  # all steps together are 5e-2; batched products round differently in bfloat16


def test_a_kernel_is_a_matrix():
    torch.manual_seed(0)
    kernel = nn.Parameter(torch.randn(12, 5, 3, 3).to(memory_format=torch.channels_last))
    matrix = nn.Parameter(kernel.detach().flatten(1).clone())
    optimizers = [Muon([{"params": [p], "muon": True}], lr=1e-2) for p in (kernel, matrix)]
    for step in range(3):
        set_gradients([matrix], step)
        kernel.grad = matrix.grad.view(12, 5, 3, 3).clone()
        for optimizer in optimizers:
            optimizer.step()
    assert torch.equal(kernel.flatten(1), matrix)


def test_other_groups_are_adamw_and_the_state_is_restored():
    """Groups without muon equal AdamW; an optimizer that loads the saved state makes the same next step."""
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
        set_gradients(list(unet.parameters()), step), set_gradients(list(other.parameters()), step)
        optimizer.step(), adamw.step()
    assert all(torch.equal(a, b) for a, b in zip(groups[1]["params"], rest, strict=True))

    twin = copy.deepcopy(unet)
    resumed = Muon(muon_groups(twin), lr=1e-3, weight_decay=0.1, betas=(0.9, 0.99))
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for model, its_optimizer in ((unet, optimizer), (twin, resumed)):
        set_gradients(list(model.parameters()), 9)
        its_optimizer.step()
    assert all(torch.equal(a, b) for a, b in zip(unet.parameters(), twin.parameters(), strict=True))


def test_vectors_are_refused():
    with pytest.raises(AssertionError, match="Muon takes only matrices and kernels"):
        Muon([{"params": [nn.Parameter(torch.zeros(3))], "muon": True}], lr=1e-3)


def test_first_and_last_layers_of_an_autoencoder_are_not_orthogonal():
    """Nor are the convolutions next to the latents, on both sides of them."""
    vae = tiny_vae(2)
    names = {id(p): name for name, p in vae.named_parameters()}
    orthogonal, rest = ({names[id(p)] for p in group["params"]} for group in muon_groups(vae))
    ends = ("encoder.conv_in", "encoder.conv_out", "quant_conv", "post_quant_conv", "decoder.conv_in", "decoder.conv_out")
    assert {f"{name}.weight" for name in ends} <= rest and orthogonal | rest == set(names.values())
    assert len(orthogonal) > 10 and all(vae.get_parameter(name).ndim == 4 for name in orthogonal)

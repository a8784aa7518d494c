"""The discriminator of features: what it sees, and that it learns to tell."""

import torch

from cyclegan import losses
from cyclegan.training.projected import ProjectedDiscriminator


def test_each_map_is_judged_patch_by_patch() -> None:
    discriminator = ProjectedDiscriminator([3, 5])
    scores = discriminator([torch.rand(2, 3, 16, 24), torch.rand(2, 5, 8, 8)])
    assert [tuple(score.shape) for score in scores] == [(2, 1, 8, 12), (2, 1, 4, 4)]
    assert ProjectedDiscriminator([])([]) == []


def test_it_learns_to_tell_smooth_from_rough() -> None:
    torch.manual_seed(0)
    discriminator = ProjectedDiscriminator([4])
    optimizer = torch.optim.Adam(discriminator.parameters(), 1e-3, (0.5, 0.999))
    found = []
    for _ in range(60):
        rough = torch.rand(4, 4, 16, 16)
        smooth = torch.rand(4, 4, 1, 1).expand_as(rough)
        (scores,) = discriminator([torch.cat((smooth, rough))])
        smooth_scores, rough_scores = scores.tensor_split(2)
        loss = losses.discriminator(rough_scores, smooth_scores, "lsgan")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    assert sum(found[30:]) / 30 < 0.15  # undecided: 0.25
    assert rough_scores.mean() > 0 > smooth_scores.mean()


def test_a_head_is_told_what_the_deeper_maps_show() -> None:
    discriminator = ProjectedDiscriminator([3, 5]).eval()
    shallow, deep = torch.rand(1, 3, 16, 16), torch.rand(1, 5, 8, 8)
    (first, last), (told, _) = discriminator([shallow, deep]), discriminator([shallow, -deep])
    assert not torch.equal(first, told)
    assert torch.equal(last, discriminator([-shallow, deep])[1])

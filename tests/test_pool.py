"""The history of generated images."""

import torch

from cyclegan.pool import ColourHistory, ImagePool


def pictures(*values: float) -> torch.Tensor:
    return torch.tensor(values).view(-1, 1, 1, 1)


def test_images_pass_until_the_pool_is_full() -> None:
    pool = ImagePool(3, seed=0)
    assert torch.equal(pool.exchange(pictures(1, 2, 3)), pictures(1, 2, 3))


def test_about_half_of_what_comes_out_is_old_and_nothing_is_lost() -> None:
    pool = ImagePool(10, seed=0)
    pool.exchange(pictures(*range(10)))
    old = 0
    given: list[float] = []
    for number in range(10, 410):
        value = pool.exchange(pictures(number)).item()
        old += value != number
        given.append(value)
    assert 150 < old < 250
    kept = [image.item() for image in pool.images]
    assert sorted(given + kept) == list(range(410))


def test_a_pool_of_size_0_gives_back_the_newest() -> None:
    pool = ImagePool(0, seed=0)
    assert torch.equal(pool.exchange(pictures(5, 6)), pictures(5, 6))
    assert pool.images == []


def test_what_comes_out_has_no_gradient() -> None:
    assert not ImagePool(2, seed=0).exchange(pictures(1.0).requires_grad_()).requires_grad


def test_remembered_images_do_not_follow_later_changes() -> None:
    pool, image = ImagePool(1, seed=0), pictures(1.0)
    pool.exchange(image)
    image.zero_()
    assert pool.images[0].item() == 1


def test_a_restored_pool_goes_on_as_the_first() -> None:
    pool, other = ImagePool(4, seed=0), ImagePool(4, seed=9)
    pool.exchange(pictures(*range(6)))
    other.load_state_dict(pool.state_dict())
    later = pictures(*range(20, 40))
    assert torch.equal(pool.exchange(later), other.exchange(later))


def test_colours_are_remembered_newest_first_and_kept_in_the_state() -> None:
    history = ColourHistory(3)
    first, second = torch.full((2, 3), 0.1), torch.full((2, 3), 0.2)
    assert [len(colours) for colours in history.exchange(first, -first)] == [0, 2]
    earlier, real = history.exchange(second, -second)
    assert torch.equal(earlier, first)
    assert torch.equal(real, torch.cat((-second, -first)))
    other = ColourHistory(3)
    other.load_state_dict(history.state_dict())
    assert torch.equal(other.exchange(first, first)[0], torch.cat((second, first[:1])))

"""The history of generated images."""

import torch

from cyclegan.training.image_pool import ImagePool


def pictures(*values: float) -> torch.Tensor:
    return torch.tensor(values).view(-1, 1, 1, 1)


def test_images_pass_until_the_pool_is_full() -> None:
    pool = ImagePool(3, seed=0, device=torch.device("cpu"))
    assert torch.equal(pool.exchange(pictures(1, 2, 3)), pictures(1, 2, 3))


def test_about_half_of_what_comes_out_is_old_and_nothing_is_lost() -> None:
    pool = ImagePool(10, seed=0, device=torch.device("cpu"))
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
    pool = ImagePool(0, seed=0, device=torch.device("cpu"))
    assert torch.equal(pool.exchange(pictures(5, 6)), pictures(5, 6))
    assert pool.images == []


def test_what_comes_out_has_no_gradient() -> None:
    assert not ImagePool(2, seed=0, device=torch.device("cpu")).exchange(pictures(1.0).requires_grad_()).requires_grad


def test_remembered_images_do_not_follow_later_changes() -> None:
    pool, image = ImagePool(1, seed=0, device=torch.device("cpu")), pictures(1.0)
    pool.exchange(image)
    image.zero_()
    assert pool.images[0].item() == 1


def test_a_restored_pool_goes_on_as_the_first() -> None:
    pool, other = ImagePool(4, seed=0, device=torch.device("cpu")), ImagePool(4, seed=9, device=torch.device("cpu"))
    pool.exchange(pictures(*range(6)))
    other.load_state_dict(pool.state_dict())
    later = pictures(*range(20, 40))
    assert torch.equal(pool.exchange(later), other.exchange(later))


def test_a_loaded_pool_is_on_its_own_device() -> None:
    pool = ImagePool(3, seed=0, device=torch.device("cpu"))
    pool.exchange(pictures(1, 2))
    other = ImagePool(3, seed=0, device=torch.device("meta"))
    other.load_state_dict(pool.state_dict())
    assert {image.device.type for image in other.images} == {"meta"}

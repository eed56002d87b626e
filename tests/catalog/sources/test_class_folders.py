from clipc.catalog.sources.class_folders import Meaning, meanings, other_folders, split_words


def labels(*folders: str) -> dict[str, tuple[str | None, str | None]]:
    return {folder: meaning[:2] for folder, meaning in meanings(folders).items()}


def test_the_outermost_folder_is_the_class() -> None:
    assert meanings(["scratch/line_1", "scratch/line_2", "intact/line_1"])["scratch/line_2"] == Meaning(
        None, "scratch", "line_2"
    )
    assert labels("all/parts/a", "all/parts/b") == {"all/parts/a": (None, "a"), "all/parts/b": (None, "b")}
    assert labels("images/a", "images/b")["images/a"] == (None, "a")


def test_splits_are_outside_the_classes_or_within_all_of_them() -> None:
    assert labels("train/a", "valid/b") == {"train/a": ("train", "a"), "valid/b": ("valid", "b")}
    assert labels("a/train", "b/test") == {"a/train": ("train", "a"), "b/test": ("test", "b")}
    assert labels("set/train/a", "set/train/b")["set/train/a"] == ("train", "a")
    assert labels("images/train/a", "images/val/a")["images/val/a"] == ("val", "a")
    assert labels("train", "test") == {"train": ("train", None), "test": ("test", None)}
    assert labels("学習/傷", "評価/傷")["評価/傷"] == ("評価", "傷")


def test_vague_words_and_numbers_name_no_class() -> None:
    assert labels("train_images", "test-images") == {"train_images": ("train", None), "test-images": ("test", None)}
    assert labels("train2017/a", "val2017/b")["val2017/b"] == ("val", "b")
    assert labels("training_set/a", "test_set/b")["test_set/b"] == ("test", "b")
    assert labels("test_1", "test2")["test_1"] == (None, "test_1")
    assert labels("images_1", "images_2")["images_1"] == (None, None)
    assert labels("image_noise", "dead_pixel")["image_noise"] == (None, "image_noise")
    assert labels("0", "1")["0"] == (None, "0")


def test_a_train_among_cars_is_a_class() -> None:
    assert labels("train", "car") == {"train": (None, "train"), "car": (None, "car")}
    assert meanings(["train", "car"], are_classes=False)["train"].split == "train"


def test_folders_beside_those_of_splits_are_no_classes() -> None:
    splits = {"train/car": ("train", "car"), "val/car": ("val", "car")}
    assert labels("train/car", "val/car", "extra/car") == splits
    assert labels("train/car", "val/car", "extra", "unlabeled/2024") == splits
    assert labels("set/train/car", "set/val/car", "set/extra/bus") == {f"set/{k}": v for k, v in splits.items()}
    one = {"train/car": ("train", "car"), "train/bus": ("train", "bus")}
    assert labels("train/car", "train/bus", "extra/car") == one
    assert labels("train/car", "train/bus", "a", "b") == one
    assert "extra/car" in meanings(["train/car", "val/car", "extra/car"], are_classes=False)


def test_a_train_with_folders_among_cars_and_buses_is_a_class() -> None:
    found = meanings(["train/line_1", "car/line_1", "bus/line_2"])
    assert found["train/line_1"] == Meaning(None, "train", "line_1")
    assert {meaning.label for meaning in found.values()} == {"train", "car", "bus"}


def test_numbers_before_class_names_are_left_out_if_the_names_stay_distinct() -> None:
    assert labels("10_gear", "5_nut") == {"10_gear": (None, "gear"), "5_nut": (None, "nut")}
    assert labels("001.Laysan_Albatross", "002.Crow")["002.Crow"] == (None, "Crow")
    assert labels("4_cylinder", "6_cylinder")["4_cylinder"] == (None, "4_cylinder")
    assert labels("10_gear", "nut")["10_gear"] == (None, "10_gear")


def test_masks_and_what_lies_beside_a_folder_of_images() -> None:
    assert other_folders(["test/good", "ground_truth/bad"]) == {"ground_truth/bad"}
    assert other_folders(["images", "masks", "train"]) == {"masks"}
    assert other_folders(["train/images", "train/labels", "gear"]) == {"train/labels"}
    assert other_folders(["mask", "no_mask"]) == set()
    assert other_folders([""]) == set()
    assert meanings([]) == {}


def test_splits_of_names_of_files() -> None:
    assert split_words(["train-00000-of-00002", "set_val_003", "test_images", "学習"]) == [
        "train", "val", "test", "学習",
    ]  # fmt: skip
    assert split_words(["test-bench", "train-station", "gears", "train-val", "validated"]) == [None] * 5
    assert split_words(["train-gears-0", "test-gears-0", "train-station-1"]) == ["train", "test", None]
    assert split_words(["train-gears-0", "training-gears-1"]) == [None, None]

//! Names of classes: text with a name a line.

/// The names in a text.
pub fn names(text: &str) -> Vec<&str> {
    text.lines().collect()
}

/// COCO's.
pub const COCO: &str = include_str!("../../models/labels/coco.txt");
/// ImageNet's of 2012.
pub const IMAGENET: &str = include_str!("../../models/labels/imagenet.txt");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_has_its_name() {
        let (coco, imagenet) = (names(COCO), names(IMAGENET));
        assert_eq!((coco.len(), imagenet.len()), (80, 1000));
        assert_eq!((coco[0], coco[41], imagenet[967]), ("person", "cup", "espresso"));
    }
}

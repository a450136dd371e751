//! guard's own filters: the files of the folder `filters/`.

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$((
            concat!($name, ".conf"),
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/filters/", $name, ".conf")),
        )),*]
    };
}

/// Names and texts, by name.
pub(super) const FILES: &[(&str, &str)] = files![];

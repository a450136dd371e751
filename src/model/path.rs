//! Paths by their letters alone; no link is followed.

/// A path from the root, without empty components, `.` and `..`.
pub fn clean_path(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(kept.pop()),
            part => kept.push(part),
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leads_above_the_root() {
        for (path, clean) in
            [("", "/"), ("/a//b/./c/", "/a/b/c"), ("a/../b", "/b"), ("/../../a/..", "/")]
        {
            assert_eq!(clean_path(path), clean, "{path}");
        }
    }
}

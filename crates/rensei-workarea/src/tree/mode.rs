//! File modes as the wire writes them.

use rustix::fs::{FileType, Mode, RawMode, Stat};

/// What kind of thing it is.
pub(crate) fn file_type(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode as RawMode)
}

/// Mode in the form of Go's file modes: letters of the type, `-` for none, then nine of `rwx-`.
pub(crate) fn mode_text(raw: RawMode) -> String {
    let mode = Mode::from_raw_mode(raw);
    let kind = match FileType::from_raw_mode(raw) {
        FileType::Directory => "d",
        FileType::Symlink => "L",
        FileType::BlockDevice => "D",
        FileType::CharacterDevice => "Dc",
        FileType::Fifo => "p",
        FileType::Socket => "S",
        FileType::RegularFile => "",
        FileType::Unknown => "?",
    };
    // The order of the letters is dLDpSugct?, with `c` after the bits that come with a mode.
    let (first, last) = if kind == "Dc" { ("D", "c") } else { (kind, "") };
    let mut text = first.to_owned();
    for (bit, letter) in [(Mode::SUID, "u"), (Mode::SGID, "g")] {
        text.push_str(if mode.contains(bit) { letter } else { "" });
    }
    text.push_str(last);
    text.push_str(if mode.contains(Mode::SVTX) { "t" } else { "" });
    if text.is_empty() {
        text.push('-');
    }
    text.extend((0..9).rev().map(|bit| if raw >> bit & 1 == 1 { ['x', 'w', 'r'][bit % 3] } else { '-' }));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_read_like_those_of_go() {
        for (raw, text) in [
            (0o100_644, "-rw-r--r--"),
            (0o100_000, "----------"),
            (0o040_750, "drwxr-x---"),
            (0o120_777, "Lrwxrwxrwx"),
            (0o010_600, "prw-------"),
            (0o140_755, "Srwxr-xr-x"),
            (0o060_660, "Drw-rw----"),
            (0o020_666, "Dcrw-rw-rw-"),
            (0o104_755, "urwxr-xr-x"),
            (0o102_755, "grwxr-xr-x"),
            (0o041_777, "dtrwxrwxrwx"),
            (0o107_777, "ugtrwxrwxrwx"),
        ] {
            assert_eq!(mode_text(raw), text, "{raw:o}");
        }
    }
}

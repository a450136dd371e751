//! fail2ban's default templates as patterns, in its order, for what is built on them:
//! `{DATE}`, `{^LN-BEG}` and lists. By itself the default runs on the scanner.

/// A fixed separator at two places, because a back-reference is not linear.
pub(super) const DEFAULTS: [&str; 17] = [
    // 2024-05-06T07:08:09.5Z
    r"(?:%ExY-%m-%d|%ExY/%m/%d|%ExY\.%m\.%d)(?:T|[ ]{1,2})%H:%M:%S(?:[.,]%f)?(?:\s*%z)?",
    // Mon May 6 07:08:09.5 2024
    r"(?:%a[ ])?%b[ ]%d[ ]%k:%M:%S(?:\.%f)?(?:[ ]%ExY)?",
    // Mon May 6 2024 07:08:09.5
    r"(?:%a[ ])?%b[ ]%d[ ]%ExY[ ]%k:%M:%S(?:\.%f)?",
    // 06/05/2024 07:08:09
    "(?:%d-%m-(?:%ExY|%Exy)|%d/%m/(?:%ExY|%Exy))[ ]%k:%M:%S",
    // 06/May/2024:07:08:09 +0000
    r"(?:%d-%b-%ExY|%d/%b/%ExY)[ :]?%H:%M:%S(?:\.%f)?(?:[ ]%z)?",
    // 05/16/2024:07:08:09
    "%m/%d/%ExY:%H:%M:%S",
    // 05-16-2024 07:08:09.5
    r"%m-%d-%ExY[ ]%k:%M:%S(?:\.%f)?",
    "EPOCH",
    // 07:08:09
    "{^LN-BEG}%H:%M:%S",
    // <05/06/24@07:08:09>
    "^<%m/%d/%Exy@%H:%M:%S>",
    // 240506 07:08:09
    "%Exy%Exm%Exd[ ]{1,2}%H:%M:%S",
    // May 6, 2024 7:08:09 AM
    "%b[ ]%d,[ ]%ExY[ ]%I:%M:%S[ ]%p",
    // May-06-24 07:08:09
    "^%b-%d-%Exy[ ]%k:%M:%S",
    // 20240506T070809
    r"%ExY%Exm%Exd(?:-|T|[ ]{1,2})%ExH:?%ExM:?%ExS(?:[.,]%f)?(?:\s*%z)?",
    // PDT May 6 07:08:09
    r"(?:%Z[ ])?(?:%a[ ])?%b[ ]%d[ ]%k:%M:%S(?:\.%f)?(?:[ ]%ExY)?",
    // +01:00 May 6 07:08:09 2023
    r"(?:%z[ ])?(?:%a[ ])?%b[ ]%d[ ]%k:%M:%S(?:\.%f)?(?:[ ]%ExY)?",
    "TAI64N",
];

/// Epoch times where fail2ban takes a number for one: at the line's start, there in
/// brackets, and in an audit log.
pub(super) const EPOCH: &str = r"**(?<=^|^\[|\baudit\(){EPOCH}";
pub(super) const LONG_EPOCH: &str = r"**(?<=^|^\[|\baudit\(){LEPOCH}";
pub(super) const TAI64N: &str = "**{TAI64N}";

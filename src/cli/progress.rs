//! Progress of long work: a bar on a terminal, nothing in a pipe.

use std::borrow::Cow;
use std::io::{IsTerminal as _, stderr};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often a bar moves that nothing else moves.
pub(super) const TICK: Duration = Duration::from_millis(100);

const COUNTED: &str = "{msg} {wide_bar} {human_pos}/{human_len} {per_sec} {eta}";
const OPEN_ENDED: &str = "{spinner} {msg} {human_pos} {elapsed}";

/// A bar that shows how much of `total` is done; of unknown total, how much is done.
pub(super) fn bar(total: Option<u64>, what: impl Into<Cow<'static, str>>) -> ProgressBar {
    let target = if stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let template = if total.is_some() { COUNTED } else { OPEN_ENDED };
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(total, target).with_style(style).with_message(what)
}

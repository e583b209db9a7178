//! The engine survives panics. So a story must check that there was none.

use std::cell::RefCell;
use std::sync::Once;

thread_local! {
    static SEEN: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

static HOOK: Once = Once::new();

pub fn watch() {
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            SEEN.with_borrow_mut(|seen| seen.push(panic.to_string()));
            usual(panic);
        }));
    });
    SEEN.with_borrow_mut(Vec::clear);
}

pub fn of_this_thread() -> Vec<String> {
    SEEN.with_borrow(Clone::clone)
}

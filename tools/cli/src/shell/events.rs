//! Owns printing events, from the client's thread, between the user's lines. Must not decide what
//! is an event.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rustyline::ExternalPrinter;
use serde_json::json;

use crate::client::Event;

type Printer = Box<dyn ExternalPrinter + Send>;

/// Prints events unless it was told not to.
pub(crate) struct EventPrinter {
    on: AtomicBool,
    json: bool,
    /// Prints without spoiling the line that is being edited.
    beside: Mutex<Option<Printer>>,
}

impl EventPrinter {
    /// That prints.
    pub(crate) const fn new(json: bool) -> Self {
        Self {
            on: AtomicBool::new(true),
            json,
            beside: Mutex::new(None),
        }
    }

    /// From now on through the line editor.
    pub(crate) fn beside_editor(&self, printer: Printer) {
        *self.beside.lock().unwrap_or_else(PoisonError::into_inner) = Some(printer);
    }

    /// Whether events are printed.
    pub(crate) fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    /// Turns printing on or off.
    pub(crate) fn turn(&self, on: bool) {
        self.on.store(on, Ordering::Relaxed);
    }

    /// Prints one event.
    pub(crate) fn show(&self, event: &Event) {
        if !self.is_on() {
            return;
        }
        if self.json {
            // Connection events would only be in the way of programs.
            if event.path.is_some() {
                let json = json!({ "event": {
                    "type": event.kind_name(), "state": event.state_name(),
                    "path": event.path, "zxid": event.zxid,
                }});
                super::print_flushed(&format!("{json}\n"));
            }
            return;
        }
        let text = format!("\nWATCHER::\n\n{event}\n");
        let mut beside = self.beside.lock().unwrap_or_else(PoisonError::into_inner);
        let printed = beside
            .as_mut()
            .is_some_and(|printer| printer.print(text.clone()).is_ok());
        if !printed {
            super::print_flushed(&text);
        }
    }
}

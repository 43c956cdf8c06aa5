//! Payments through the API: asked of a gateway, and told to the contact log.
//!
//! ```text
//! request ─► Pay on the log ─► is it ours? ─► gateway ─► Settle or Fail on the log ─► the payment
//! ```
//!
//! That a payment is to be made is on the log before the gateway is asked, under an id that the request's key
//! makes. So whoever asks twice, here or elsewhere, before or after a crash, pays once: the second finds the
//! payment, and asks the gateway again only where nobody knows how the first one ended. How it ended is told
//! to the log as well; payments of the topic are applied by the same rules (`domain/payment/`).

mod card;
mod desk;
mod gateway;

pub use card::CardNumber;
pub use desk::{PaymentDesk, PaymentError, PaymentRequest, RefundRequest, Requested, Shown};
pub use gateway::TEST_CARDS;

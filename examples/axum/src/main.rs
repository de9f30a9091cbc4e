//! An axum Router behind ferricorn's command line, master and workers; there is no Python in the process.
//!
//! `cargo run --release -p axum-example -- -w 2 -b 127.0.0.1:8000`

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::routing::{get, post};

fn main() -> ExitCode {
    ferricorn::main(router)
}

/// Called once in each worker, after the fork.
fn router() -> Router {
    // Such as `--env GREETING=Hi` sets.
    let greeting: &str = std::env::var("GREETING").map_or("Hello, world!\n", |text| text.leak());
    Router::new()
        .route("/", get(async move || greeting))
        .route("/echo", post(echo))
        .route("/count", get(count))
        .with_state(Arc::new(AtomicU64::new(0)))
}

/// Sends the request body back piece by piece, as it arrives.
async fn echo(request: Request) -> Body {
    request.into_body()
}

/// Counts the requests that this worker has counted. Each worker has a count of its own.
async fn count(State(counter): State<Arc<AtomicU64>>) -> String {
    format!("{}\n", counter.fetch_add(1, Ordering::Relaxed) + 1)
}

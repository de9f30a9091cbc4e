//! A connection whose app gets one end of a pair of sockets, because bytes that were read cannot be put back into its own.

use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as PlainStream;
use std::pin::pin;
use std::time::Duration;

use tokio::io::{AsyncWriteExt, copy, split};
use tokio::net::UnixStream;

use super::loan::Call;
use super::{Offer, Socket};
use crate::timer::timeout;

/// How long the client has to take what the app wrote last.
const LAST: Duration = Duration::from_secs(2);

/// The server's end, the app's end, and a second descriptor for that.
fn pair() -> io::Result<(UnixStream, OwnedFd, PlainStream)> {
    let (near, far) = PlainStream::pair()?;
    near.set_nonblocking(true)?;
    Ok((UnixStream::from_std(near)?, far.try_clone()?.into(), far))
}

/// Lends one end of a pair, and carries bytes between the other and the client, those in `ahead` first.
pub(super) async fn relay<S: Socket>(socket: S, ahead: &[u8], offer: Offer, call: &mut Call) -> Option<S> {
    let (near, lent, far) = match pair() {
        Ok(pair) => pair,
        Err(error) => {
            offer.settle(Err(error));
            return Some(socket);
        }
    };
    let handover = offer.settle(Ok(lent))?;
    let (mut from_client, mut to_client) = split(socket);
    {
        let (mut from_app, mut to_app) = near.into_split();
        let mut inward = pin!(async {
            if to_app.write_all(ahead).await.is_ok() && copy(&mut from_client, &mut to_app).await.is_ok() {
                let _ = to_app.shutdown().await;
            }
        });
        let mut outward = pin!(async {
            if copy(&mut from_app, &mut to_client).await.is_ok() {
                let _ = to_client.shutdown().await;
            }
        });
        let mut over = pin!(call.until_over(&handover, far.as_fd()));
        let (mut heard, mut said) = (false, false);
        loop {
            tokio::select! {
                () = &mut over => break,
                () = &mut inward, if !heard => heard = true,
                () = &mut outward, if !said => said = true,
            }
        }
        if !said && far.shutdown(Shutdown::Write).is_ok() {
            let _ = timeout(LAST, outward).await;
        }
    }
    Some(from_client.unsplit(to_client))
}

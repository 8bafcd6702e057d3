//! With `aws-sdk-s3-transfer-manager`: its download's parts, in order, into its upload.

use std::{io, pin::Pin, task::{Context, Poll, ready}};

use aws_sdk_s3_transfer_manager::{
    Client,
    io::{InputStream, PartData, PartStream, SizeHint, StreamContext},
    types::{ConcurrencyMode, PartSize},
};
use eft_peers::{AT_ONCE, AnyError, PART, places};
use tokio::sync::mpsc;

/// The parts of a download that is under way.
struct Parts {
    parts: mpsc::Receiver<PartData>,
    size: u64,
}

impl PartStream for Parts {
    fn poll_part(mut self: Pin<&mut Self>, cx: &mut Context<'_>, _: &StreamContext) -> Poll<Option<io::Result<PartData>>> {
        Poll::Ready(ready!(self.parts.poll_recv(cx)).map(Ok))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::exact(self.size)
    }
}

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let ((source, from), (target, to)) = places()?;
    let config = aws_sdk_s3_transfer_manager::from_env().part_size(PartSize::Target(PART as u64));
    let client = Client::new(config.concurrency(ConcurrencyMode::Explicit(2 * AT_ONCE)).load().await);
    let mut download = client.download().bucket(source).key(from).initiate()?;
    let size = download.object_meta().await?.total_object_size();
    let (sender, parts) = mpsc::channel(1);
    let reading = tokio::spawn(async move {
        let mut number = 0;
        while let Some(chunk) = download.body_mut().next().await {
            number += 1;
            sender.send(PartData::from_segmented(number, chunk?.data)).await?;
        }
        drop(sender);
        download.join().await?;
        Ok::<_, AnyError>(())
    });
    let body = InputStream::from_part_stream(Parts { parts, size });
    client.upload().bucket(target).key(to).body(body).initiate()?.join().await?;
    reading.await?
}

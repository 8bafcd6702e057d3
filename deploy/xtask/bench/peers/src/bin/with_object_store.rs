//! With `object_store`: one GET's stream into a multipart upload, unsigned, without a checksum.

use eft_peers::{AT_ONCE, AnyError, PART, places};
use futures::StreamExt;
use object_store::{ObjectStore, ObjectStoreExt, WriteMultipart, aws::{AmazonS3, AmazonS3Builder}, path::Path};

fn store(bucket: &str) -> Result<AmazonS3, AnyError> {
    let endpoint = std::env::var("AWS_ENDPOINT_URL")?;
    let builder = AmazonS3Builder::from_env().with_endpoint(endpoint).with_bucket_name(bucket);
    Ok(builder.with_allow_http(true).with_unsigned_payload(true).build()?)
}

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let ((source, from), (target, to)) = places()?;
    let mut frames = store(&source)?.get(&Path::parse(from)?).await?.into_stream();
    let upload = store(&target)?.put_multipart(&Path::parse(to)?).await?;
    let mut upload = WriteMultipart::new_with_chunk_size(upload, PART);
    while let Some(frame) = frames.next().await {
        upload.wait_for_capacity(AT_ONCE).await?;
        upload.put(frame?);
    }
    upload.finish().await?;
    Ok(())
}

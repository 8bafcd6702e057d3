//! With `aws-sdk-s3` and its defaults: each range collected, then uploaded.

use aws_sdk_s3::{Client, types::{CompletedMultipartUpload, CompletedPart}};
use eft_peers::{AT_ONCE, AnyError, PART, places};
use futures::{StreamExt, TryStreamExt, stream};

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let ((source, from), (target, to)) = places()?;
    let config = aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await;
    let client = Client::from_conf(aws_sdk_s3::config::Builder::from(&config).force_path_style(true).build());
    let head = client.head_object().bucket(&source).key(&from).send().await?;
    let size = head.content_length().unwrap_or_default() as usize;
    let upload = client.create_multipart_upload().bucket(&target).key(&to).send().await?;
    let upload = upload.upload_id().ok_or("no upload id")?;
    let (client, source, from, target, to) = (&client, &source, &from, &target, &to);
    let parts = stream::iter((0..size).step_by(PART).zip(1..)).map(|(start, number)| async move {
        let end = size.min(start + PART) - 1;
        let get = client.get_object().bucket(source).key(from).range(format!("bytes={start}-{end}")).send();
        let body = get.await?.body.collect().await?.into_bytes();
        let part = client.upload_part().bucket(target).key(to).upload_id(upload).part_number(number);
        let done = part.body(body.into()).send().await?;
        let part = CompletedPart::builder().part_number(number).set_e_tag(done.e_tag().map(Into::into));
        Ok::<_, AnyError>(part.set_checksum_crc32(done.checksum_crc32().map(Into::into)).build())
    });
    let parts: Vec<_> = parts.buffered(AT_ONCE).try_collect().await?;
    let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
    let complete = client.complete_multipart_upload().bucket(target).key(to).upload_id(upload);
    complete.multipart_upload(parts).send().await?;
    Ok(())
}

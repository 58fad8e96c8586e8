//! One GET of an operator's own HTTP server, as `check` and `explain` make it.

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, ToSocketAddrs};

use crate::limits::ANSWER_BYTES_MAX;

/// What was answered.
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// All of it.
    pub body: String,
}

/// Asks. HTTP 1.0: the answer ends with the connection and comes in one piece, so no client library is needed.
///
/// # Errors
/// When nobody answers, or not in HTTP, or too much.
pub async fn get(address: impl ToSocketAddrs + std::fmt::Display, path: &str) -> Result<Answer> {
    let mut stream = TcpStream::connect(&address)
        .await
        .with_context(|| format!("http://{address} cannot be reached"))?;
    let request = format!("GET {path} HTTP/1.0\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut text = String::new();
    let mut answer = stream.take(ANSWER_BYTES_MAX);
    let bytes = answer.read_to_string(&mut text).await?;
    ensure!(
        u64::try_from(bytes)? < ANSWER_BYTES_MAX,
        "http://{address}{path} answers more than {ANSWER_BYTES_MAX} bytes"
    );
    parse(&text).with_context(|| format!("http://{address}{path} does not speak HTTP"))
}

fn parse(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?;
    Some(Answer {
        status: status.parse().ok()?,
        body: body.to_owned(),
    })
}

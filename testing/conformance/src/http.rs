//! Just enough HTTP/1.1 to post JSON and read what comes back, also line by line.

use kvorum_processes::Client;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// Nothing may take longer.
const SOON: Duration = Duration::from_secs(10);

/// The beginning of an answer.
#[derive(Debug, Default)]
pub struct Head {
    /// HTTP's number.
    pub status: u16,
    headers: Vec<(String, String)>,
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    /// HTTP's number.
    pub status: u16,
    /// Its text.
    pub body: String,
    head: Head,
}

impl Head {
    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    }
}

impl Answer {
    /// A header, by its name in small letters.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.header(name)
    }
}

/// A request that was sent.
pub struct Posted {
    stream: BufReader<TcpStream>,
    /// Read with the first line or the whole.
    pub head: Head,
    begun: bool,
    text: String,
}

/// Posts JSON.
pub async fn post(client: &Client, path: &str, body: &str) -> Posted {
    Posted::send(client, "POST", path, &[], body).await
}

impl Posted {
    /// Sends a request.
    ///
    /// # Panics
    /// If the server is not there.
    pub async fn send(
        client: &Client,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Self {
        let mut stream = TcpStream::connect(&client.endpoint).await.unwrap();
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n",
            client.endpoint,
            body.len()
        );
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        request.push_str(body);
        stream.write_all(request.as_bytes()).await.unwrap();
        Self {
            stream: BufReader::new(stream),
            head: Head::default(),
            begun: false,
            text: String::new(),
        }
    }

    async fn raw_line(&mut self) -> String {
        let mut line = String::new();
        let read = tokio::time::timeout(SOON, self.stream.read_line(&mut line));
        read.await
            .unwrap_or_else(|_| panic!("nothing came"))
            .unwrap();
        line.trim_end().to_owned()
    }

    async fn begin(&mut self) {
        if self.begun {
            return;
        }
        self.begun = true;
        let first = self.raw_line().await;
        let status = first.split(' ').nth(1).and_then(|n| n.parse().ok());
        self.head.status = status.unwrap_or_else(|| panic!("no HTTP: {first:?}"));
        loop {
            let line = self.raw_line().await;
            let Some((name, value)) = line.split_once(": ") else {
                return;
            };
            let header = (name.to_ascii_lowercase(), value.to_owned());
            self.head.headers.push(header);
        }
    }

    async fn exactly(&mut self, length: usize) {
        let mut part = vec![0; length];
        let read = tokio::time::timeout(SOON, self.stream.read_exact(&mut part));
        read.await
            .unwrap_or_else(|_| panic!("nothing came"))
            .unwrap();
        self.text.push_str(std::str::from_utf8(&part).unwrap());
    }

    /// Reads one chunk; false: that was the end.
    async fn chunk(&mut self) -> bool {
        let length = self.raw_line().await;
        let length = usize::from_str_radix(&length, 16).unwrap();
        self.exactly(length).await;
        self.raw_line().await;
        length > 0
    }

    /// The next line of an answer that goes on.
    pub async fn line(&mut self) -> String {
        self.begin().await;
        loop {
            if let Some((line, rest)) = self.text.split_once('\n') {
                let (line, rest) = (line.to_owned(), rest.to_owned());
                self.text = rest;
                return line;
            }
            assert!(self.chunk().await, "the answer ended");
        }
    }

    /// All of it.
    pub async fn whole(mut self) -> Answer {
        self.begin().await;
        match self.head.header("content-length").map(str::to_owned) {
            Some(length) => self.exactly(length.parse().unwrap()).await,
            None => while self.chunk().await {},
        }
        Answer {
            status: self.head.status,
            body: self.text,
            head: self.head,
        }
    }
}

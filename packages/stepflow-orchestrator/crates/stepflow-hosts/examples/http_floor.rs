//! The lower limit for the HTTP benchmark: the time that a bare POST takes with the server's own client library, one at
//! a time.
//!
//! `http_floor URL COUNT` answers each line on its stdin with the average seconds of COUNT round trips.
#![allow(clippy::print_stdout)]

use std::io::{self, Write as _};
use std::time::Instant;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::header::CONTENT_TYPE;
use hyper::{Request, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let url: Uri = arguments.next().ok_or("no URL")?.parse()?;
    let count: usize = arguments.next().ok_or("no count")?.parse()?;
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client = Client::builder(TokioExecutor::new()).build(connector);
    for line in io::stdin().lines() {
        let body = Bytes::from(line?);
        let begun = Instant::now();
        for _ in 0..count {
            round_trip(&client, &url, &body).await?;
        }
        println!("{}", begun.elapsed().as_secs_f64() / count as f64);
        io::stdout().flush()?;
    }
    Ok(())
}

async fn round_trip(client: &Client<HttpConnector, Full<Bytes>>, url: &Uri, body: &Bytes) -> Result<(), Failure> {
    let request = Request::post(url.clone()).header(CONTENT_TYPE, "application/json").body(Full::new(body.clone()))?;
    let answer = client.request(request).await?;
    let said = answer.into_body().collect().await?.to_bytes();
    if said != body {
        return Err("the echo is not what was said".into());
    }
    Ok(())
}

//! `/openai` against a server of our own on this machine, which answers what the test says and keeps what it heard.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[allow(dead_code)]
mod suite;

use std::sync::Arc;
use std::time::Duration;

use stepflow_engine::event::Route;
use stepflow_engine::ports::{Answer, ComponentHost as _, Failure};
use stepflow_hosts::{BuiltinHost, BuiltinOptions, OpenAiOptions};
use stepflow_protocol::{ErrorKind, Value};
use suite::{MemoryBlobs, PATIENCE, Word, Words, inbox, json, task};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// A server that answers every request in the same way.
struct Fake {
    url: String,
    heard: mpsc::UnboundedReceiver<String>,
}

impl Fake {
    /// `answer` is the status line's end, more headers, and the body; `None`: never.
    async fn start(answer: Option<(&'static str, &'static str, &'static str)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let (tell, heard) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let tell = tell.clone();
                tokio::spawn(async move {
                    while let Some(request) = request(&mut stream).await {
                        tell.send(request).unwrap();
                        let Some((status, headers, body)) = answer else { std::future::pending().await };
                        let length = body.len();
                        let text = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{headers}\r\n{body}");
                        stream.write_all(text.as_bytes()).await.unwrap();
                    }
                });
            }
        });
        Self { url, heard }
    }

    async fn request(&mut self) -> String {
        tokio::time::timeout(PATIENCE, self.heard.recv()).await.expect("nobody asks").unwrap()
    }
}

/// The next request of a connection, headers and body.
async fn request(stream: &mut TcpStream) -> Option<String> {
    let mut text = Vec::new();
    loop {
        let whole = String::from_utf8_lossy(&text).into_owned();
        if let Some((head, body)) = whole.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return Some(whole);
            }
        }
        let mut part = [0; 4096];
        match stream.read(&mut part).await {
            Ok(read) if read > 0 => text.extend_from_slice(&part[..read]),
            _ => return None,
        }
    }
}

const SAID: &str = r#"{"id":"x","choices":[{"message":{"role":"assistant","content":"Hello \"you\""}}],"usage":{}}"#;

fn host(openai: OpenAiOptions) -> (BuiltinHost, Words) {
    let (inbox, words) = inbox();
    let options = BuiltinOptions { openai, ..BuiltinOptions::default() };
    (BuiltinHost::new(options, inbox, Arc::new(MemoryBlobs::default())), words)
}

/// The input of a step, with these members after its messages.
fn input(members: &str) -> Value {
    json(&format!(r#"{{"messages":[{{"role":"user","content":"Hi"}}]{members}}}"#))
}

async fn failure(openai: OpenAiOptions, input: Value) -> Failure {
    let (host, mut words) = host(openai);
    host.resolve("/openai", &input).unwrap();
    host.offer(task("/openai", input));
    match words.answer().await.1 {
        Answer::Failed(failure) => failure,
        other => panic!("not a failure: {other:?}"),
    }
}

#[tokio::test]
async fn the_model_is_asked_with_what_the_step_says() {
    let mut fake = Fake::start(Some(("200 OK", "", SAID))).await;
    let (host, mut words) = host(OpenAiOptions::default());
    let members =
        format!(r#","model":"m-1","max_tokens":7,"temperature":0.25,"api_key":"k","base_url":"{}/""#, fake.url);
    host.offer(task("/openai", input(&members)));
    assert_eq!(words.output().await, json(r#"{"response":"Hello \"you\""}"#));
    let request = fake.request().await;
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /v1/chat/completions HTTP/1.1"), "{head}");
    assert!(head.contains("authorization: Bearer k\r\n"), "{head}");
    let expected = r#"{"model":"m-1","messages":[{"role":"user","content":"Hi"}],"max_tokens":7,"temperature":0.25}"#;
    assert_eq!(body, expected);
}

#[tokio::test]
async fn the_servers_own_key_goes_to_the_servers_own_address_only() {
    let mut own = Fake::start(Some(("200 OK", "", SAID))).await;
    let mut other = Fake::start(Some(("200 OK", "", SAID))).await;
    let options = OpenAiOptions { api_key: Some("secret".to_owned()), base_url: Some(own.url.clone()) };
    let (host, mut words) = host(options);
    host.offer(task("/openai", input("")));
    words.output().await;
    assert!(own.request().await.contains("authorization: Bearer secret\r\n"));
    host.offer(task("/openai", input(&format!(r#","base_url":"{}""#, other.url))));
    words.output().await;
    assert!(!other.request().await.contains("secret"));
}

#[tokio::test]
async fn without_a_key_openai_is_not_asked() {
    let failed = failure(OpenAiOptions::default(), input("")).await;
    assert_eq!((failed.error.kind, failed.retryable), (ErrorKind::InvalidInput, Some(false)));
    assert!(failed.error.message.contains("OPENAI_API_KEY"), "{}", failed.error.message);
}

#[tokio::test]
async fn a_refusal_says_why_and_whether_it_is_worth_another_attempt() {
    for (status, headers, body, kind, retryable, words) in [
        (
            "401 Unauthorized",
            "",
            r#"{"error":{"message":"Incorrect API key"}}"#,
            ErrorKind::ComponentFailed,
            Some(false),
            "status 401: Incorrect API key",
        ),
        ("429 Too Many Requests", "retry-after: 3\r\n", "slow", ErrorKind::ResourceUnavailable, None, "429: slow"),
        ("500 Oh", "", "", ErrorKind::ComponentFailed, None, "status 500: (nothing)"),
        ("200 OK", "", "<html>", ErrorKind::ComponentFailed, None, "it is no chat completion"),
        ("200 OK", "", r#"{"choices":[]}"#, ErrorKind::ComponentFailed, None, "no choice with a text"),
    ] {
        let fake = Fake::start(Some((status, headers, body))).await;
        let failed = failure(OpenAiOptions::default(), input(&format!(r#","base_url":"{}""#, fake.url))).await;
        assert_eq!((failed.error.kind, failed.retryable), (kind, retryable), "{status}");
        assert_eq!(failed.retry_after, headers.contains('3').then(|| Duration::from_secs(3)), "{status}");
        assert!(failed.error.message.contains(words), "{}", failed.error.message);
    }
}

#[tokio::test]
async fn an_address_where_nobody_answers_is_unreachable() {
    // Bound and dropped: nobody listens there.
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for url in [format!("http://{address}"), format!("https://{address}")] {
        let failed = failure(OpenAiOptions::default(), input(&format!(r#","base_url":"{url}""#))).await;
        assert_eq!(failed.error.kind, ErrorKind::Unreachable, "{url}");
        assert!(failed.error.message.contains(&format!("`{url}/chat/completions` cannot be reached")), "{url}");
    }
}

#[tokio::test]
async fn https_is_spoken_with_servers_that_speak_it_only() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let plain = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        stream
    });
    let failed = failure(OpenAiOptions::default(), input(&format!(r#","base_url":"{url}""#))).await;
    assert_eq!(failed.error.kind, ErrorKind::Unreachable);
    assert!(failed.error.message.to_lowercase().contains("corrupt message"), "{}", failed.error.message);
    drop(plain);
}

#[tokio::test]
async fn a_question_without_an_answer_can_be_cancelled() {
    let mut fake = Fake::start(None).await;
    let (host, mut words) = host(OpenAiOptions::default());
    let asked = task("/openai", input(&format!(r#","base_url":"{}""#, fake.url)));
    host.offer(asked.clone());
    fake.request().await;
    host.cancel(&Route { plugin: "builtin".to_owned(), component: "/openai".to_owned() }, asked.task, "enough");
    assert!(matches!(words.next().await, Word::Started(started, _) if started == asked.task));
    assert_eq!(words.next().await, Word::Answer(asked.task, Answer::Cancelled));
}

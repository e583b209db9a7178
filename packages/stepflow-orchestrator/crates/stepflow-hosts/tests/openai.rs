//! `/openai` against a test server on this machine, which gives the test's answer and keeps the requests.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[allow(dead_code)]
mod suite;

use std::sync::Arc;
use std::time::Duration;

use stepflow_engine::event::Route;
use stepflow_engine::ports::{Answer, ComponentHost as _, Failure};
use stepflow_hosts::{BuiltinHost, BuiltinOptions, OpenAiOptions};
use stepflow_protocol::{ErrorKind, Value};
use suite::{InboxEvent, InboxEvents, MemoryBlobs, PATIENCE, inbox, json, task};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// A server that answers every request in the same way.
struct Fake {
    url: String,
    heard: mpsc::UnboundedReceiver<String>,
}

impl Fake {
    /// `answer` is the end of the status line, more headers, and the body; `None`: the server never answers.
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

fn host(openai: OpenAiOptions) -> (BuiltinHost, InboxEvents) {
    let (inbox, events) = inbox();
    let options = BuiltinOptions { openai, ..BuiltinOptions::default() };
    (BuiltinHost::new(options, inbox, Arc::new(MemoryBlobs::default())), events)
}

/// The input of a step, with these members after its messages.
fn input(members: &str) -> Value {
    json(&format!(r#"{{"messages":[{{"role":"user","content":"Hi"}}]{members}}}"#))
}

/// Options that allow steps to use this URL.
fn allowing(url: &str) -> OpenAiOptions {
    OpenAiOptions { base_urls: Some(vec![url.to_owned()]), ..OpenAiOptions::default() }
}

async fn failure(openai: OpenAiOptions, input: Value) -> Failure {
    let (host, mut events) = host(openai);
    host.resolve("/openai", &input).unwrap();
    host.offer(task("/openai", input));
    match events.answer().await.1 {
        Answer::Failed(failure) => failure,
        other => panic!("not a failure: {other:?}"),
    }
}

#[tokio::test]
async fn the_model_is_asked_with_what_the_step_says() {
    let mut fake = Fake::start(Some(("200 OK", "", SAID))).await;
    let (host, mut events) = host(allowing(&fake.url));
    let members =
        format!(r#","model":"m-1","max_tokens":7,"temperature":0.25,"api_key":"k","base_url":"{}/""#, fake.url);
    host.offer(task("/openai", input(&members)));
    assert_eq!(events.output().await, json(r#"{"response":"Hello \"you\""}"#));
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
    let options =
        OpenAiOptions { api_key: Some("secret".to_owned()), base_url: Some(own.url.clone()), ..allowing(&other.url) };
    let (host, mut events) = host(options);
    host.offer(task("/openai", input("")));
    events.output().await;
    assert!(own.request().await.contains("authorization: Bearer secret\r\n"));
    host.offer(task("/openai", input(&format!(r#","base_url":"{}""#, other.url))));
    events.output().await;
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
    for (status, headers, body, kind, retryable, message) in [
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
        ("200 OK", "", "<html>", ErrorKind::ComponentFailed, None, "it is not a chat completion"),
        ("200 OK", "", r#"{"choices":[]}"#, ErrorKind::ComponentFailed, None, "no choice with a text"),
    ] {
        let fake = Fake::start(Some((status, headers, body))).await;
        let failed = failure(allowing(&fake.url), input(&format!(r#","base_url":"{}""#, fake.url))).await;
        assert_eq!((failed.error.kind, failed.retryable), (kind, retryable), "{status}");
        assert_eq!(failed.retry_after, headers.contains('3').then(|| Duration::from_secs(3)), "{status}");
        assert!(failed.error.message.contains(message), "{}", failed.error.message);
    }
}

#[tokio::test]
async fn an_address_where_nobody_answers_is_unreachable() {
    // Bound and dropped: nothing listens there.
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for url in [format!("http://{address}"), format!("https://{address}")] {
        let failed = failure(allowing(&url), input(&format!(r#","base_url":"{url}""#))).await;
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
    let failed = failure(allowing(&url), input(&format!(r#","base_url":"{url}""#))).await;
    assert_eq!(failed.error.kind, ErrorKind::Unreachable);
    assert!(failed.error.message.to_lowercase().contains("corrupt message"), "{}", failed.error.message);
    drop(plain);
}

#[tokio::test]
async fn a_question_without_an_answer_can_be_cancelled() {
    let mut fake = Fake::start(None).await;
    let (host, mut events) = host(allowing(&fake.url));
    let asked = task("/openai", input(&format!(r#","base_url":"{}""#, fake.url)));
    host.offer(asked.clone());
    fake.request().await;
    host.cancel(&Route { plugin: "builtin".to_owned(), component: "/openai".to_owned() }, asked.address(), "enough");
    assert!(matches!(events.next().await, InboxEvent::Started(started, _) if started == asked.task));
    assert_eq!(events.next().await, InboxEvent::Answer(asked.task, Answer::Cancelled));
}

#[tokio::test]
async fn a_step_leads_only_where_the_config_allows() {
    let options = || OpenAiOptions {
        base_url: Some("http://own.invalid/v1/".to_owned()),
        base_urls: Some(vec!["https://models.invalid/v1".to_owned(), "http://10.0.0.1:8000".to_owned()]),
        ..OpenAiOptions::default()
    };
    for url in [
        "http://models.invalid/v1",
        "https://models.invalid",
        "https://models.invalid/v12",
        "https://models.invalid/v1/../admin",
        "https://models.invalid/v1/%2e%2e/admin",
        "https://models.invalid/v1/..%2fadmin",
        "https://models.invalid/v1//admin",
        "https://models.invalid:444/v1",
        "https://models.invalid.evil.invalid/v1",
        "https://models.invalid@evil.invalid/v1",
        "https://user:pw@models.invalid/v1",
        "https://models.invalid/v1?x=",
        "https://models.invalid/v1?",
        "https://models.invalid/v1#",
        "https://models.invalid\\\\@evil.invalid/v1",
        "http://10.0.0.1:8001",
        "http://10.0.0.2:8000",
        "http://169.254.169.254/latest/meta-data?",
        "https://api.openai.com/v1",
        "http://",
        "https:models",
    ] {
        let (host, mut events) = host(options());
        // Some are already refused by the schema.
        host.offer(task("/openai", input(&format!(r#","api_key":"k","base_url":"{url}""#))));
        let error = events.failure().await;
        assert_eq!(error.kind, ErrorKind::InvalidInput, "{url}: {error:?}");
        assert!(error.message.contains("may not be asked: "), "{url}: {}", error.message);
        assert!(!error.message.contains("pw"), "{}", error.message);
    }
    let (host, mut events) = host(options());
    host.offer(task("/openai", input(r#","base_url":"http://10.0.0.2:8000""#)));
    let error = events.failure().await;
    assert!(
        error.message.ends_with("list it under `openai.baseUrls` of the builtin plugin in the server's configuration")
    );
}

#[tokio::test]
async fn what_lies_below_an_allowed_address_is_allowed() {
    let mut fake = Fake::start(Some(("200 OK", "", SAID))).await;
    let origin = fake.url.trim_end_matches("/v1").to_owned();
    for (allowed, url) in [
        (fake.url.clone(), format!("{}/team", fake.url)),
        (format!("{}/", fake.url), fake.url.clone()),
        (origin.clone(), fake.url.clone()),
        (fake.url.to_uppercase().replace("/V1", "/v1"), format!("{}/", fake.url)),
    ] {
        let (host, mut events) = host(allowing(&allowed));
        host.offer(task("/openai", input(&format!(r#","base_url":"{url}""#))));
        events.output().await;
        fake.request().await;
    }
}

#[tokio::test]
async fn a_config_that_lists_others_or_nothing_does_not_allow_openai() {
    for options in [allowing("http://10.0.0.1"), OpenAiOptions { base_urls: Some(vec![]), ..OpenAiOptions::default() }]
    {
        let error = failure(options, input(r#","api_key":"k""#)).await.error;
        assert_eq!(error.kind, ErrorKind::InvalidInput);
        assert!(error.message.contains("`https://api.openai.com/v1` may not be asked"), "{}", error.message);
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let mut elsewhere = Fake::start(Some(("200 OK", "", SAID))).await;
    for status in ["301 Moved", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let to: &'static str = format!("location: {}/chat/completions\r\n", elsewhere.url).leak();
        let fake = Fake::start(Some((status, to, ""))).await;
        let failed = failure(allowing(&fake.url), input(&format!(r#","base_url":"{}""#, fake.url))).await;
        assert!(failed.error.message.contains(&format!("status {}", &status[..3])), "{}", failed.error.message);
        assert!(elsewhere.heard.try_recv().is_err(), "{status}");
    }
}

#[tokio::test]
async fn an_answer_that_takes_too_long_is_given_up() {
    let fake = Fake::start(None).await;
    let options = OpenAiOptions { timeout: Some(Duration::from_millis(50)), ..allowing(&fake.url) };
    let failed = failure(options, input(&format!(r#","base_url":"{}""#, fake.url))).await;
    assert_eq!(failed.error.kind, ErrorKind::Unreachable);
    assert!(failed.error.message.contains("its answer took longer than 0.05 s"), "{}", failed.error.message);
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_not_kept() {
    let body: &'static str = " ".repeat(64 * 1024 * 1024 + 1).leak();
    let fake = Fake::start(Some(("200 OK", "", body))).await;
    let failed = failure(allowing(&fake.url), input(&format!(r#","base_url":"{}""#, fake.url))).await;
    // Another try would end in the same way.
    assert_eq!((failed.error.kind, failed.retryable), (ErrorKind::ComponentFailed, Some(false)));
    assert!(failed.error.message.ends_with("is longer than 64 MiB"), "{}", failed.error.message);
}

#[tokio::test]
async fn a_key_is_in_no_error_even_where_the_answer_repeats_it() {
    let long: &'static str = format!("{}sk-hidden", "x".repeat(420)).leak();
    for body in [r#"{"error":{"message":"no such key: sk-hidden"}}"#, r#"{"choices":"sk-hidden"}"#, "sk-hidden", long] {
        for status in ["401 Unauthorized", "200 OK"] {
            let fake = Fake::start(Some((status, "", body))).await;
            let members = format!(r#","api_key":"sk-hidden","base_url":"{}""#, fake.url);
            let failed = failure(allowing(&fake.url), input(&members)).await;
            let text = format!("{failed:?}");
            assert!(!text.contains("sk-h"), "{text}");
        }
    }
    let failed =
        failure(allowing("http://10.0.0.1"), input(r#","base_url":"http://10.0.0.1","api_key":"sk-\n""#)).await;
    assert_eq!(failed.error.message, "the key for the model is not one line of ASCII");
}

#[tokio::test]
async fn an_endless_retry_after_is_a_day() {
    let fake = Fake::start(Some(("429 Slow", "retry-after: 18446744073709551615\r\n", ""))).await;
    let failed = failure(allowing(&fake.url), input(&format!(r#","base_url":"{}""#, fake.url))).await;
    assert_eq!(failed.retry_after, Some(Duration::from_secs(86400)));
}

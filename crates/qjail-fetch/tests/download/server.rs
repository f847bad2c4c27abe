//! A small HTTP server on the loopback, that misbehaves on request.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A server; each connection carries one request. Stops when dropped.
pub(crate) struct Server {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// `answer` gets the number of the request (from 0), its head, and the connection.
    pub(crate) fn start(answer: impl Fn(usize, &str, &mut TcpStream) + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (heads, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (log, ended, answer) = (heads.clone(), stop.clone(), Arc::new(answer));
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::SeqCst) {
                    break;
                }
                let (mut stream, log, answer) = (stream.unwrap(), log.clone(), answer.clone());
                thread::spawn(move || {
                    let head = read_head(&mut stream);
                    let number = {
                        let mut log = log.lock().unwrap();
                        log.push(head.clone());
                        log.len() - 1
                    };
                    answer(number, &head, &mut stream);
                });
            }
        });
        Server {
            address,
            heads,
            stop,
            thread: Some(thread),
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    /// The requests so far, header lines in lower case.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

/// The head of a request, in lower case.
pub(crate) fn read_head(stream: &mut TcpStream) -> String {
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap().to_lowercase()
}

pub(crate) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// Sends an answer; the client may have left.
pub(crate) fn send(stream: &mut TcpStream, status: &str, headers: &[(&str, String)], body: &[u8]) {
    let mut text = format!("HTTP/1.1 {status}\r\nConnection: close\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    let _ = stream
        .write_all(text.as_bytes())
        .and_then(|()| stream.write_all(body));
}

/// An honest static file server's answer, except that at most `most` bytes of the body are sent.
pub(crate) fn serve(stream: &mut TcpStream, head: &str, body: &[u8], etag: &str, most: usize) {
    let from = header(head, "range").map(|r| {
        r.trim_start_matches("bytes=")
            .trim_end_matches('-')
            .parse()
            .unwrap()
    });
    let unchanged = header(head, "if-range").is_none_or(|v| v == etag);
    let (total, tag) = (body.len(), ("ETag", etag.to_owned()));
    match from.filter(|_| unchanged) {
        Some(from) if from >= total => {
            send(
                stream,
                "416 Range Not Satisfiable",
                &[("Content-Range", format!("bytes */{total}"))],
                b"",
            );
        }
        Some(from) => {
            let range = format!("bytes {from}-{}/{total}", total - 1);
            let rest = &body[from..];
            let headers = [
                ("Content-Length", rest.len().to_string()),
                ("Content-Range", range),
                tag,
            ];
            send(
                stream,
                "206 Partial Content",
                &headers,
                &rest[..most.min(rest.len())],
            );
        }
        None => {
            let headers = [("Content-Length", total.to_string()), tag];
            send(stream, "200 OK", &headers, &body[..most.min(total)]);
        }
    }
}

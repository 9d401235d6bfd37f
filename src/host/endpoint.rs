//! A page over HTTP on a Unix socket, for one reader at a time or a few, and the way to ask for it.
//!
//! Whoever reads may be slow, or mean no good: each has so much time and no more, few are served at once, and none of
//! them ever waits for anything but the page.

use std::convert::Infallible;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, client, server};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::{self, Runtime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// The path of the page.
const PAGE: &str = "/metrics";
/// How many are served at once; others wait for one of them to go.
const READERS: usize = 8;
/// How long a reader may take to say what it wants.
const ASKING: Duration = Duration::from_secs(2);
/// How long all of it may take, reading included.
const WHOLE: Duration = Duration::from_secs(10);
/// Most bytes of a request.
const REQUEST: usize = 16 * 1024;
/// Most bytes that somebody who asks takes.
const ANSWER: usize = 64 << 20;

/// A page in the form that an `Accept` header asks for: its media type and its text.
pub type Page = dyn Fn(&str) -> (&'static str, String) + Send + Sync;

/// The socket, until it is dropped.
#[derive(Debug)]
pub struct Endpoint(PathBuf);

impl Drop for Endpoint {
    fn drop(&mut self) {
        // Nothing is lost by one that stays: the next takes its place.
        let _ = fs::remove_file(&self.0);
    }
}

impl Endpoint {
    /// Serves `page` on `path`, on a thread of its own. Whatever lies there is replaced: the caller knows that nobody else
    /// serves it. Only the owner may connect, from the first moment on.
    pub fn serve(path: &Path, page: Arc<Page>) -> io::Result<Self> {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        let runtime = runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build()?;
        let listener = {
            let _inside = runtime.enter();
            bind(path)?
        };
        let endpoint = Self(path.to_owned());
        thread::Builder::new().name("metrics".to_owned()).spawn(move || runtime.block_on(accept(listener, page)))?;
        Ok(endpoint)
    }
}

/// Listens under a name that nobody knows, and takes the real one when its mode is right.
fn bind(path: &Path) -> io::Result<UnixListener> {
    let beside = path.with_extension("new");
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&beside)?;
    fs::set_permissions(&beside, fs::Permissions::from_mode(0o600))?;
    fs::rename(&beside, path)?;
    Ok(listener)
}

async fn accept(listener: UnixListener, page: Arc<Page>) {
    let places = Arc::new(Semaphore::new(READERS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            // Too many open files, most likely: that passes.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let page = Arc::clone(&page);
        tokio::spawn(async move {
            // Kept until the page is made, also when its reader has gone: nothing piles up behind a kernel that hangs.
            let place = Arc::new(place);
            let service = service_fn(move |request| answer(request, Arc::clone(&page), Arc::clone(&place)));
            let mut builder = server::conn::http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(ASKING).keep_alive(false).max_buf_size(REQUEST);
            // However it ends, it concerns the reader alone.
            let _ = timeout(WHOLE, builder.serve_connection(TokioIo::new(stream), service)).await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    page: Arc<Page>,
    place: Arc<OwnedSemaphorePermit>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let plain = |status: StatusCode, text: &'static str| {
        let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
        *response.status_mut() = status;
        response
    };
    if request.uri().path() != PAGE {
        return Ok(plain(StatusCode::NOT_FOUND, "the page is /metrics\n"));
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return Ok(plain(StatusCode::METHOD_NOT_ALLOWED, "GET it\n"));
    }
    let accepts: Vec<&str> = request.headers().get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let accepts = accepts.join(",");
    // Reading the kernel blocks; one thread does it, and who waits for it too long gets nothing.
    let made = tokio::task::spawn_blocking(move || {
        let made = page(&accepts);
        drop(place);
        made
    });
    let Ok((kind, text)) = made.await else {
        return Ok(plain(StatusCode::INTERNAL_SERVER_ERROR, "no figures\n"));
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    Ok(response)
}

/// Asks whoever serves on `path` for the page.
pub fn ask(path: &Path, accept: &'static str) -> io::Result<String> {
    let runtime: Runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        timeout(WHOLE, asked(path, accept)).await.map_err(|_| io::Error::from(ErrorKind::TimedOut))?
    })
}

async fn asked(path: &Path, accept: &'static str) -> io::Result<String> {
    let stream = UnixStream::connect(path).await?;
    let (mut sender, connection) =
        client::conn::http1::handshake::<_, Empty<Bytes>>(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    tokio::spawn(connection);
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = hyper::Uri::from_static(PAGE);
    request.headers_mut().insert(HOST, HeaderValue::from_static("docker-firewall"));
    request.headers_mut().insert(ACCEPT, HeaderValue::from_static(accept));
    let response = sender.send_request(request).await.map_err(io::Error::other)?;
    if response.status() != StatusCode::OK {
        return Err(io::Error::other(format!("the answer is {}", response.status())));
    }
    let body = Limited::new(response.into_body(), ANSWER).collect().await.map_err(io::Error::other)?;
    String::from_utf8(body.to_bytes().to_vec()).map_err(io::Error::other)
}

//! The JSON gateway: every call of etcd's services as POST /v3/…, by calling the gRPC
//! services within the process.

mod call;
mod json;
mod routes;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use call::Answers;
use futures::{Stream, StreamExt};
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use prost::Message;
use prost_reflect::{MessageDescriptor, MethodDescriptor};
use std::convert::Infallible;
use std::sync::Arc;
use tonic::Status;

/// What pages of other origins may do, as etcd allows by default.
const CORS: [(HeaderName, HeaderValue); 3] = [
    (
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("accept, content-type, authorization"),
    ),
    (
        header::ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("POST, GET, OPTIONS, PUT, DELETE"),
    ),
    (
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        HeaderValue::from_static("*"),
    ),
];
/// Clients of gRPC-gateway look for it.
const FROM_GRPC: HeaderName = HeaderName::from_static("grpc-metadata-content-type");

/// One path: what it calls, and where.
struct Route {
    grpc: Router,
    path: String,
    input: MessageDescriptor,
    output: MessageDescriptor,
    asks_in_stream: bool,
    answers_in_stream: bool,
    max: usize,
}

/// The gateway's paths, calling the services in `grpc`; a message may have `max` bytes.
///
/// # Errors
/// If a path names a call that there is not.
pub fn router(grpc: Router, max: usize) -> anyhow::Result<Router> {
    let mut router = Router::new();
    for (path, method) in routes::all()? {
        let route = Arc::new(Route::new(grpc.clone(), &method, max));
        let handler = any(serve).with_state(route);
        // The first is today's, the second what old clients know.
        for version in ["v3", "v3beta"] {
            router = router.route(&format!("/{version}/{path}"), handler.clone());
        }
    }
    let unknown = any(|| async { failed(&Status::not_found("Not Found")) });
    let router = router
        .route("/v3/{*path}", unknown.clone())
        .route("/v3beta/{*path}", unknown);
    Ok(router.layer(axum::middleware::map_response(allow_other_origins)))
}

async fn allow_other_origins(mut response: Response) -> Response {
    response.headers_mut().extend(CORS);
    response
}

impl Route {
    fn new(grpc: Router, method: &MethodDescriptor, max: usize) -> Self {
        Self {
            grpc,
            path: format!("/{}/{}", method.parent_service().full_name(), method.name()),
            input: method.input(),
            output: method.output(),
            asks_in_stream: method.is_client_streaming(),
            answers_in_stream: method.is_server_streaming(),
            max,
        }
    }

    /// A JSON text as the message that it says.
    fn message(&self, text: &[u8]) -> Result<Bytes, Status> {
        let message = json::read(&self.input, text)?;
        Ok(call::frame(&message.encode_to_vec()))
    }
}

async fn serve(State(route): State<Arc<Route>>, request: Request) -> Response {
    match *request.method() {
        Method::POST => {}
        Method::OPTIONS => return StatusCode::OK.into_response(),
        _ => return failed(&Status::unimplemented("Method Not Allowed")),
    }
    let answered = if route.answers_in_stream {
        stream(route, request).await
    } else {
        single(&route, request).await
    };
    answered.unwrap_or_else(|status| failed(&status))
}

/// An answer that failed as a whole.
fn failed(status: &Status) -> Response {
    let mut response = json_response(&json::Failure::from(status));
    *response.status_mut() = json::http_status(status.code());
    if status.code() == tonic::Code::Unauthenticated
        && let Ok(value) = HeaderValue::from_str(status.message())
    {
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, value);
    }
    response
}

fn json_response(value: &impl serde::Serialize) -> Response {
    axum::Json(value).into_response()
}

fn ok(body: Body) -> Response {
    let json = HeaderValue::from_static("application/json");
    let grpc = HeaderValue::from_static("application/grpc");
    ([(header::CONTENT_TYPE, json), (FROM_GRPC, grpc)], body).into_response()
}

fn too_large(max: usize) -> Status {
    Status::resource_exhausted(format!("the request is larger than {max} bytes"))
}

async fn single(route: &Route, request: Request) -> Result<Response, Status> {
    let (parts, body) = request.into_parts();
    // Base64 makes bytes a third longer.
    let text = axum::body::to_bytes(body, 2 * route.max)
        .await
        .map_err(|_| too_large(2 * route.max))?;
    let message = route.message(&text)?;
    let messages = futures::stream::iter([message]);
    let mut answers = call::call(route.grpc.clone(), &route.path, &parts.headers, messages).await?;
    let answer = answers.next().await?.unwrap_or_default();
    // The status comes after the message.
    while answers.next().await?.is_some() {}
    let mut out = Vec::new();
    json::write(&route.output, &answer, &mut out)?;
    Ok(ok(Body::from(out)))
}

/// The requests of a body, one after the other. What cannot be read ends them.
fn requests(route: Arc<Route>, body: Body) -> impl Stream<Item = Result<Bytes, Status>> + Send {
    let state = (route, body.into_data_stream(), json::Values::default());
    futures::stream::unfold(Some(state), |state| async move {
        let (route, mut body, mut values) = state?;
        loop {
            match values.next() {
                Ok(Some(text)) => {
                    let message = route.message(&text);
                    return match message {
                        Ok(message) => Some((Ok(message), Some((route, body, values)))),
                        Err(status) => Some((Err(status), None)),
                    };
                }
                Ok(None) if values.waiting() > 2 * route.max => {
                    return Some((Err(too_large(2 * route.max)), None));
                }
                Ok(None) => {}
                Err(status) => return Some((Err(status), None)),
            }
            match body.next().await {
                Some(Ok(more)) => values.add(&more),
                Some(Err(_)) => return None,
                None if values.waiting() > 0 => {
                    let cut = Status::invalid_argument("unexpected EOF");
                    return Some((Err(cut), None));
                }
                None => return None,
            }
        }
    })
}

async fn stream(route: Arc<Route>, request: Request) -> Result<Response, Status> {
    let (parts, body) = request.into_parts();
    let mut requests = Box::pin(requests(route.clone(), body));
    // A first request that cannot be read is refused as a whole.
    let first = match requests.next().await {
        Some(first) => first?,
        None if route.asks_in_stream => Bytes::new(),
        None => route.message(b"")?,
    };
    let more = route.asks_in_stream;
    let messages = futures::stream::iter([first].into_iter().filter(|m| !m.is_empty()));
    let messages = messages.chain(
        requests
            .take_while(move |_| std::future::ready(more))
            .filter_map(|request| std::future::ready(request.ok())),
    );
    let mut answers = call::call(route.grpc.clone(), &route.path, &parts.headers, messages).await?;
    match answers.next().await {
        Ok(Some(first)) => Ok(ok(Body::from_stream(lines(route, first, answers)))),
        Ok(None) => Ok(ok(Body::empty())),
        Err(status) => {
            let mut response = json_response(&serde_json::json!({
                "error": json::Failure::from(&status)
            }));
            *response.status_mut() = json::http_status(status.code());
            Ok(response)
        }
    }
}

/// One line per answer; a failure is the last line.
fn lines(
    route: Arc<Route>,
    first: Bytes,
    answers: Answers,
) -> impl Stream<Item = Result<Vec<u8>, Infallible>> + Send {
    let state = (route, Some(first), answers);
    futures::stream::unfold(Some(state), |state| async move {
        let (route, first, mut answers) = state?;
        let next = match first {
            Some(first) => Ok(Some(first)),
            None => answers.next().await,
        };
        let written = match next {
            Ok(None) => return None,
            Ok(Some(message)) => result_line(&route, &message),
            Err(status) => Err(status),
        };
        match written {
            Ok(line) => Some((Ok(line), Some((route, None, answers)))),
            Err(status) => {
                let failure = serde_json::json!({ "error": json::Failure::from(&status) });
                Some((Ok(format!("{failure}\n").into_bytes()), None))
            }
        }
    })
}

fn result_line(route: &Route, message: &[u8]) -> Result<Vec<u8>, Status> {
    let mut line = br#"{"result":"#.to_vec();
    json::write(&route.output, message, &mut line)?;
    line.extend_from_slice(b"}\n");
    Ok(line)
}

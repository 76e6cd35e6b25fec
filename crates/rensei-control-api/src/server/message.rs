//! What handlers take and give. Each of these types also describes itself, so that the OpenAPI document says what the
//! handlers' signatures say and cannot say anything else.

use super::body;
use super::reply::{self, Refusal};
use aide::generate::GenContext;
use aide::openapi::{MediaType, Operation, RequestBody, Response as ResponseDoc, SchemaObject};
use aide::operation::{ParamLocation, add_parameters, parameters_from_schema, set_body};
use aide::transform::TransformOperation;
use aide::{OperationInput, OperationOutput};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use rensei_proto::{ErrorBody, SessionId};
use schemars::{JsonSchema, Schema};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A JSON document with its status.
#[derive(Debug)]
pub(super) struct Answer<T, const STATUS: u16 = 200>(pub(super) T);

/// A JSON body that must be there.
#[derive(Debug)]
pub(super) struct Body<T>(pub(super) T);

/// A JSON body; none at all stands for the default.
#[derive(Debug)]
pub(super) struct OptionalBody<T>(pub(super) T);

/// The variables of the path: fields of `T`.
#[derive(Debug)]
pub(super) struct PathOf<T>(pub(super) T);

/// The query: fields of `T`. Others are ignored.
#[derive(Debug)]
pub(super) struct QueryOf<T>(pub(super) T);

/// The path of one session.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct SessionPath {
    /// The session.
    pub(super) id: SessionId,
}

/// A switch in a query: on when it is the word `true`, off for anything else.
#[derive(Debug, Default, Clone, Deserialize, JsonSchema)]
pub(super) struct Switch(String);

impl Switch {
    pub(super) fn is_on(&self) -> bool {
        self.0 == "true"
    }
}

impl<T: Serialize, const STATUS: u16> IntoResponse for Answer<T, STATUS> {
    fn into_response(self) -> Response {
        reply::json(StatusCode::from_u16(STATUS).unwrap_or_default(), &self.0)
    }
}

impl<T: JsonSchema, const STATUS: u16> OperationOutput for Answer<T, STATUS> {
    type Inner = T;

    fn operation_response(ctx: &mut GenContext, _operation: &mut Operation) -> Option<ResponseDoc> {
        Some(json_response::<T>(ctx))
    }

    fn inferred_responses(ctx: &mut GenContext, _operation: &mut Operation) -> Vec<(Option<u16>, ResponseDoc)> {
        vec![(Some(STATUS), json_response::<T>(ctx))]
    }
}

impl OperationOutput for Refusal {
    type Inner = ErrorBody;

    fn operation_response(ctx: &mut GenContext, _operation: &mut Operation) -> Option<ResponseDoc> {
        Some(json_response::<ErrorBody>(ctx))
    }

    fn inferred_responses(ctx: &mut GenContext, _operation: &mut Operation) -> Vec<(Option<u16>, ResponseDoc)> {
        vec![(None, json_response::<ErrorBody>(ctx))]
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Refusal> {
        body::required(request.into_body()).await.map(Self)
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for OptionalBody<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Refusal> {
        body::optional(request.into_body()).await.map(Self)
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for PathOf<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let path = Path::from_request_parts(parts, state).await;
        path.map(|Path(value)| Self(value))
            .map_err(|rejection| Refusal::bad_request(format!("invalid path: {}", rejection.body_text())))
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for QueryOf<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let query = Query::from_request_parts(parts, state).await;
        query
            .map(|Query(value)| Self(value))
            .map_err(|rejection| Refusal::bad_request(format!("invalid query: {}", rejection.body_text())))
    }
}

impl<T: JsonSchema> OperationInput for Body<T> {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        describe_body::<T>(ctx, operation, true);
    }
}

impl<T: JsonSchema> OperationInput for OptionalBody<T> {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        describe_body::<T>(ctx, operation, false);
    }
}

impl<T: JsonSchema> OperationInput for PathOf<T> {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        describe_parameters::<T>(ctx, operation, ParamLocation::Path);
    }
}

impl<T: JsonSchema> OperationInput for QueryOf<T> {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        describe_parameters::<T>(ctx, operation, ParamLocation::Query);
    }
}

fn describe_parameters<T: JsonSchema>(ctx: &mut GenContext, operation: &mut Operation, place: ParamLocation) {
    let schema = T::json_schema(&mut ctx.schema);
    let parameters = parameters_from_schema(ctx, schema, place);
    add_parameters(ctx, operation, parameters);
}

fn describe_body<T: JsonSchema>(ctx: &mut GenContext, operation: &mut Operation, required: bool) {
    let schema = ctx.schema.subschema_for::<T>();
    let description = Some(description(ctx, &schema));
    let content = [("application/json".to_owned(), media(schema))].into_iter().collect();
    set_body(ctx, operation, RequestBody { description, content, required, ..RequestBody::default() });
}

fn json_response<T: JsonSchema>(ctx: &mut GenContext) -> ResponseDoc {
    let schema = ctx.schema.subschema_for::<T>();
    let description = description(ctx, &schema);
    let content = [("application/json".to_owned(), media(schema))].into_iter().collect();
    ResponseDoc { description, content, ..ResponseDoc::default() }
}

/// Describes an answer that is not JSON.
pub(super) fn raw_response<'a>(operation: TransformOperation<'a>, media_type: &'static str) -> TransformOperation<'a> {
    operation.response_with::<200, (), _>(|mut response| {
        response.inner().description = "Bytes.".to_owned();
        response.inner().content.insert(media_type.to_owned(), MediaType::default());
        response
    })
}

/// Describes an answer that is a stream of server-sent events, each of which carries a `T`.
pub(super) fn event_stream<T: JsonSchema>(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    let schema = aide::generate::in_context(|context| context.schema.subschema_for::<T>());
    operation.response_with::<200, (), _>(|mut response| {
        response.inner().description = "Server-sent events; the schema is that of the data of each.".to_owned();
        // The document has no words for a stream, so the schema of one event stands beside the media type.
        let mut stream = MediaType::default();
        stream.extensions.insert("x-event-schema".to_owned(), schema.to_value());
        response.inner().content.insert("text/event-stream".to_owned(), stream);
        response
    })
}

fn media(json_schema: Schema) -> MediaType {
    let schema = SchemaObject { json_schema, example: None, external_docs: None };
    MediaType { schema: Some(schema), ..MediaType::default() }
}

/// What the type says of itself. The document demands a text, also where a type has none of its own.
fn description(ctx: &GenContext, schema: &Schema) -> String {
    let text = ctx.resolve_schema(schema).get("description").and_then(|text| text.as_str());
    text.unwrap_or("The answer.").to_owned()
}

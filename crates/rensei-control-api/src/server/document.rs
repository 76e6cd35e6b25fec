//! The OpenAPI document of the routes, `docs/api/control.json`. A test writes it from the routes and holds it to them,
//! so that a daemon has nothing to work out when it starts.

use super::message::Answer;
use super::reply;
use super::routes::{Table, says};
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;

/// The document, as it is served.
const DOCUMENT: &str = include_str!("../../../../docs/api/control.json");

pub(super) fn routes<T: Table>(table: T) -> T {
    let about = says("openapi", "meta", "This document.");
    table.get("/api/daemon/openapi.json", openapi, |operation| about(operation).response::<200, Answer<Value>>())
}

async fn openapi() -> Response {
    reply::json_bytes(StatusCode::OK, Bytes::from_static(DOCUMENT.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::super::api::Api;
    use super::super::reply::Refusal;
    use super::super::routes::{self, Describe};
    use super::*;
    use aide::axum::ApiRouter;
    use aide::axum::routing::{get_with, post_with};
    use aide::openapi::{Info, OpenApi, SecurityScheme, Server};
    use aide::operation::OperationHandler;
    use aide::transform::TransformOpenApi;
    use aide::{OperationInput, OperationOutput};
    use axum::handler::Handler;
    use schemars::SchemaGenerator;
    use schemars::generate::SchemaSettings;
    use std::path::Path;

    impl Table for ApiRouter<Api> {
        fn get<H, T, I, O>(self, path: &str, handler: H, about: impl Describe) -> Self
        where
            H: Handler<T, Api> + OperationHandler<I, O>,
            T: 'static,
            I: OperationInput,
            O: OperationOutput,
        {
            self.api_route(path, get_with(handler, about))
        }

        fn post<H, T, I, O>(self, path: &str, handler: H, about: impl Describe) -> Self
        where
            H: Handler<T, Api> + OperationHandler<I, O>,
            T: 'static,
            I: OperationInput,
            O: OperationOutput,
        {
            self.api_route(path, post_with(handler, about))
        }

        fn get_also<H, T>(self, _path: &str, _handler: H) -> Self
        where
            H: Handler<T, Api>,
            T: 'static,
        {
            self
        }
    }

    /// The document that the routes make.
    fn described() -> String {
        prepare();
        let mut api = head();
        let _ = routes::routes(ApiRouter::new()).finish_api_with(&mut api, finish);
        let text = serde_json::to_string_pretty(&api).unwrap();
        // What the router takes for the rest of a path is a variable like others here.
        text.replace("/{*", "/{") + "\n"
    }

    /// Schemas as OpenAPI 3.1 has them, of what is written: what is always there is required.
    fn prepare() {
        aide::generate::reset_context();
        let settings = SchemaSettings::draft2020_12().for_serialize().with(|settings| {
            settings.definitions_path = "#/components/schemas/".into();
            settings.meta_schema = None;
        });
        aide::generate::in_context(|context| context.schema = SchemaGenerator::new(settings));
    }

    fn head() -> OpenApi {
        let description = "The local API of a Rensei host, on loopback. Every answer with a status of 400 or more has the \
            body `ErrorBody`. Unknown fields and parameters are ignored.";
        OpenApi {
            info: Info {
                title: "Rensei host control API".to_owned(),
                description: Some(description.to_owned()),
                version: "1".to_owned(),
                ..Info::default()
            },
            servers: vec![Server { url: "http://127.0.0.1:7734".to_owned(), ..Server::default() }],
            ..OpenApi::default()
        }
    }

    /// What holds for all operations.
    fn finish(api: TransformOpenApi<'_>) -> TransformOpenApi<'_> {
        let token = SecurityScheme::Http {
            scheme: "bearer".to_owned(),
            bearer_format: None,
            description: Some("With `control.auth: token`: the content of `<state>/control-token`.".to_owned()),
            extensions: Default::default(),
        };
        api.security_scheme("token", token).default_response::<Refusal>()
    }

    #[test]
    fn control_api_document_is_current() {
        let written = described();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/api/control.json");
        if std::env::var_os("RENSEI_UPDATE_DOCS").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &written).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        let again = "RENSEI_UPDATE_DOCS=1 cargo nextest run -p rensei-control-api --all-features control_api_document";
        assert!(found == written, "docs/api/control.json is not what the routes say; write it with\n    {again}");
    }

    #[test]
    fn every_operation_is_named_described_and_has_an_answer() {
        let document: Value = serde_json::from_str(&described()).unwrap();
        let mut ids = Vec::new();
        for (path, operations) in document["paths"].as_object().unwrap() {
            for (method, operation) in operations.as_object().unwrap() {
                let text = |field: &str| operation[field].as_str().unwrap_or_default().to_owned();
                assert!(!text("operationId").is_empty() && text("summary").ends_with('.'), "{method} {path}");
                assert!(operation["responses"].get("default").is_some(), "{method} {path}");
                let success = operation["responses"].as_object().unwrap().keys().any(|code| code.starts_with('2'));
                assert!(success, "{method} {path}");
                ids.push(text("operationId"));
            }
        }
        let all = ids.len();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), all, "an operation id is used twice");
    }
}

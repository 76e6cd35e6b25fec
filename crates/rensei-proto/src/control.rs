//! Control API of a host, on loopback.
//!
//! | call | body | answer |
//! |---|---|---|
//! | `GET /healthz` | | 200 `ok` |
//! | `GET /api/daemon/status` | | 200 [`Status`] |
//! | `POST /api/daemon/{pause,resume,stop}` | | 200 [`ActionResponse`] |
//! | `POST /api/daemon/drain` | [`DrainRequest`], optional | 200 [`ActionResponse`] |
//! | `GET /api/daemon/sessions` | | 200 array of [`SessionHandle`], live ones, oldest first |
//! | `GET /api/daemon/sessions?all=true` | | 200 array of [`SessionView`], live and ended, oldest first |
//! | `POST /api/daemon/sessions` | [`PostSession`] | 202 [`SessionHandle`] |
//! | `GET /api/daemon/sessions/<id>` | | 200 [`SessionDetail`](crate::SessionDetail) of a live session |
//! | `GET /api/daemon/sessions/<id>/record` | | 200 [`SessionView`], also after the end |
//! | `POST /api/daemon/sessions/<id>/stop` | [`StopRequest`], optional | 200 [`StopResponse`] |
//! | `GET /api/daemon/sessions/<id>/output?offset=&tail=&follow=` | | 200 raw bytes |
//! | `POST /api/daemon/sessions/<id>/workarea` | | 200 [`Workarea`] |

mod host;
mod session;

pub use host::{ActionResponse, DrainRequest, HostState, Registration, RegistrationState, Status};
pub use session::{
    PostSession, PostedDetail, SessionHandle, SessionState, SessionView, StopRequest, StopResponse, Workarea,
};

/// Port that the control API listens on unless told otherwise.
pub const DEFAULT_PORT: u16 = 7734;
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_posted_session_takes_detail_fields_but_no_credentials() {
        let json = r#"{"sessionId":"s1","repository":"smoke-alpha","ref":"main","title":"T","promptContext":"do",
            "authToken":"stolen","workerId":"w","env":{"A":"1"},"resolvedProfile":{"provider":"shell"}}"#;
        let post: PostSession = serde_json::from_str(json).unwrap();
        let detail = post.to_detail();
        assert_eq!((post.spec.repository.as_str(), detail.title.as_str()), ("smoke-alpha", "T"));
        assert!(detail.auth_token.is_none() && detail.worker_id.is_empty());
        assert_eq!(detail.provider(), "shell");
    }
}

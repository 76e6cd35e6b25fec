//! Organisations, projects, credentials.

use super::{SqliteStorage, StorageError};
use crate::storage::{Bootstrap, Bootstrapped, Credential, Project, Scope};
use crate::tokens::{Minted, TokenHash, TokenKind};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Error, Row as _};
use uuid::Uuid;

/// Features of an organisation that is created here: its sessions go to the newer lane.
const NEW_ORG_FEATURES: &str = r#"{"runner_default":"go"}"#;

pub(super) async fn bootstrap(db: &SqliteStorage, wanted: Bootstrap) -> Result<Bootstrapped, StorageError> {
    let now = db.now();
    db.write("bootstrap", move |connection| Box::pin(set_up(connection, wanted, now))).await
}

async fn set_up(connection: &mut SqliteConnection, wanted: Bootstrap, now: i64) -> Result<Bootstrapped, Error> {
    // The conflicting update changes nothing; it makes RETURNING answer for an existing row too.
    let org_id: String = sqlx::query_scalar(
        "INSERT INTO orgs (id, slug, features, created_at) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (slug) DO UPDATE SET slug = excluded.slug RETURNING id",
    )
    .bind(format!("org_{}", Uuid::new_v4().simple()))
    .bind(&wanted.org)
    .bind(NEW_ORG_FEATURES)
    .bind(now)
    .fetch_one(&mut *connection)
    .await?;
    let project_id: String = sqlx::query_scalar(
        "INSERT INTO projects (id, org_id, slug, repository, created_at) VALUES (?1, ?2, ?3, coalesce(?4, ''), ?5)
         ON CONFLICT (org_id, slug) DO UPDATE SET repository = coalesce(?4, repository) RETURNING id",
    )
    .bind(format!("prj_{}", Uuid::new_v4().simple()))
    .bind(&org_id)
    .bind(&wanted.project)
    .bind(&wanted.repository)
    .bind(now)
    .fetch_one(&mut *connection)
    .await?;
    for (token, of_project) in &wanted.tokens {
        let scope = Scope { org: org_id.clone(), project: of_project.then(|| project_id.clone()) };
        add_credential(connection, token, &scope, now).await?;
    }
    Ok(Bootstrapped { org_id, project_id })
}

async fn add_credential(
    connection: &mut SqliteConnection,
    token: &Minted,
    scope: &Scope,
    now: i64,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO credentials (id, hash, kind, org_id, project_id, prefix, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )
    .bind(format!("crd_{}", Uuid::new_v4().simple()))
    .bind(token.hash.0.as_slice())
    .bind(token.kind.as_str())
    .bind(&scope.org)
    .bind(&scope.project)
    .bind(&token.shown)
    .bind(now)
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn has_org(db: &SqliteStorage) -> Result<bool, StorageError> {
    sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM orgs)")
        .fetch_one(&db.readers)
        .await
        .map_err(StorageError::of("has_org"))
}

pub(super) async fn credential(db: &SqliteStorage, hash: TokenHash) -> Result<Option<Credential>, StorageError> {
    let row = sqlx::query("SELECT id, kind, org_id, project_id FROM credentials WHERE hash = ?1")
        .bind(hash.0.as_slice())
        .fetch_optional(&db.readers)
        .await;
    row.and_then(|row| row.as_ref().map(read_credential).transpose()).map_err(StorageError::of("credential"))
}

fn read_credential(row: &SqliteRow) -> Result<Credential, Error> {
    let word: &str = row.try_get("kind")?;
    let kind = TokenKind::parse(word).ok_or_else(|| Error::Decode(format!("unknown credential `{word}`").into()))?;
    let scope = Scope { org: row.try_get("org_id")?, project: row.try_get("project_id")? };
    Ok(Credential { id: row.try_get("id")?, kind, scope })
}

pub(super) async fn projects(
    db: &SqliteStorage,
    scope: &Scope,
    name: Option<&str>,
) -> Result<Vec<Project>, StorageError> {
    let rows = sqlx::query(
        "SELECT p.id, p.slug, p.repository, o.features FROM projects p JOIN orgs o ON o.id = p.org_id
         WHERE p.org_id = ?1 AND (?2 IS NULL OR p.id = ?2) AND (?3 IS NULL OR p.slug = ?3 OR p.id = ?3)
         ORDER BY p.slug LIMIT 2",
    )
    .bind(&scope.org)
    .bind(&scope.project)
    .bind(name)
    .fetch_all(&db.readers)
    .await;
    rows.and_then(|rows| rows.iter().map(read_project).collect()).map_err(StorageError::of("projects"))
}

fn read_project(row: &SqliteRow) -> Result<Project, Error> {
    Ok(Project {
        id: row.try_get("id")?,
        slug: row.try_get("slug")?,
        repository: row.try_get("repository")?,
        org_features: row.try_get("features")?,
    })
}

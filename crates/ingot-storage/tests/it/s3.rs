//! An S3 server in this process, on a loopback port of its own.

use std::path::Path;
use std::sync::Arc;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use object_store::ObjectStore;
use object_store::aws::AmazonS3Builder;
use s3s::auth::SimpleAuth;
use s3s::dto::*;
use s3s::service::S3ServiceBuilder;
use s3s::{S3, S3Request, S3Response, S3Result};
use s3s_fs::FileSystem;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

const BUCKET: &str = "ingot";

/// Stops when dropped.
pub(crate) struct S3Server {
    port: u16,
    accepting: JoinHandle<()>,
}

/// The server's writes are not atomic of their own.
struct Locked(FileSystem, tokio::sync::Mutex<()>);

macro_rules! delegate {
    (
        locked { $($locked:ident($in:ident) -> $out:ident;)* }
        free { $($name:ident($i:ident) -> $o:ident;)* }
    ) => {
        #[async_trait::async_trait]
        impl S3 for Locked {
            $(async fn $locked(&self, request: S3Request<$in>) -> S3Result<S3Response<$out>> {
                let _turn = self.1.lock().await;
                self.0.$locked(request).await
            })*
            $(async fn $name(&self, request: S3Request<$i>) -> S3Result<S3Response<$o>> {
                self.0.$name(request).await
            })*
        }
    };
}

delegate! {
    locked {
        put_object(PutObjectInput) -> PutObjectOutput;
        complete_multipart_upload(CompleteMultipartUploadInput) -> CompleteMultipartUploadOutput;
        delete_object(DeleteObjectInput) -> DeleteObjectOutput;
        delete_objects(DeleteObjectsInput) -> DeleteObjectsOutput;
    }
    free {
        get_object(GetObjectInput) -> GetObjectOutput;
        head_object(HeadObjectInput) -> HeadObjectOutput;
        list_objects_v2(ListObjectsV2Input) -> ListObjectsV2Output;
        create_multipart_upload(CreateMultipartUploadInput) -> CreateMultipartUploadOutput;
        upload_part(UploadPartInput) -> UploadPartOutput;
        abort_multipart_upload(AbortMultipartUploadInput) -> AbortMultipartUploadOutput;
    }
}

impl S3Server {
    pub(crate) async fn start(root: &Path) -> Self {
        // May be there already, from another test.
        let _ = rustls::crypto::ring::default_provider().install_default();
        std::fs::create_dir_all(root.join(BUCKET)).unwrap();
        let files = FileSystem::new(root).unwrap();
        let mut builder = S3ServiceBuilder::new(Locked(files, tokio::sync::Mutex::new(())));
        builder.set_auth(SimpleAuth::from_single("key", "secret"));
        let service = builder.build();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let accepting = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let service = service.clone();
                tokio::spawn(async move {
                    let server = Builder::new(TokioExecutor::new());
                    let _ = server.serve_connection(TokioIo::new(socket), service).await;
                });
            }
        });
        Self { port, accepting }
    }

    pub(crate) fn client(&self) -> Arc<dyn ObjectStore> {
        let store = AmazonS3Builder::new()
            .with_endpoint(format!("http://127.0.0.1:{}", self.port))
            .with_allow_http(true)
            .with_region("us-east-1")
            .with_bucket_name(BUCKET)
            .with_access_key_id("key")
            .with_secret_access_key("secret")
            .build()
            .unwrap();
        Arc::new(store)
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

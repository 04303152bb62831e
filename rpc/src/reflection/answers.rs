//! [`Answers`]: what is answered to whom asks, by gRPC's document of
//! [server reflection](https://github.com/grpc/grpc/blob/master/doc/server-reflection.md).

use std::sync::Arc;

use futures_util::stream;

use super::{
    api::{V1, V1Alpha},
    files::{Files, Sent},
    messages::{
        ErrorResponse, ExtensionNumberResponse, ExtensionRequest, FileDescriptorResponse,
        ListServiceResponse, MessageRequest, MessageResponse, ServerReflectionRequest,
        ServerReflectionResponse, ServiceResponse,
    },
};
use crate::{call::Streaming, code::Code, method::MAX_MESSAGE_BYTES, status::Result};

/// The longest question that is answered, in bytes: no name that anybody has is as long. A longer one is answered with an error, and is
/// not said back.
pub const MAX_QUESTION_BYTES: usize = 4 * 1024;

/// The most bytes of files in an answer, unless the one that was asked for is larger by itself: imports beyond are left out, and clients
/// ask for them.
pub const MAX_ANSWER_BYTES: usize = 1024 * 1024;

/// The largest file that can be sent: with room for what is around it.
const MAX_FILE_BYTES: usize = MAX_MESSAGE_BYTES - 2 * MAX_QUESTION_BYTES;

/// How much of a name that a peer made up is said back in an error.
const MAX_ECHO_BYTES: usize = 128;

/// The service, of both versions.
#[derive(Clone, Debug)]
pub(super) struct Answers(Arc<Known>);

#[derive(Debug)]
struct Known {
    services: Vec<&'static str>,
    files: Files,
}

impl Answers {
    pub(super) fn new(services: Vec<&'static str>, files: Files) -> Self {
        Self(Arc::new(Known { services, files }))
    }

    fn stream(
        &self,
        questions: Streaming<ServerReflectionRequest>,
    ) -> Streaming<ServerReflectionResponse> {
        let state = (Arc::clone(&self.0), questions, Sent::default());
        Streaming::new(stream::unfold(
            state,
            |(known, mut questions, mut sent)| async {
                let answer = questions
                    .next()
                    .await?
                    .map(|question| known.answer(question, &mut sent));
                Some((answer, (known, questions, sent)))
            },
        ))
    }
}

impl V1 for Answers {
    async fn server_reflection_info(
        &self,
        questions: Streaming<ServerReflectionRequest>,
    ) -> Result<Streaming<ServerReflectionResponse>> {
        Ok(self.stream(questions))
    }
}

impl V1Alpha for Answers {
    async fn server_reflection_info(
        &self,
        questions: Streaming<ServerReflectionRequest>,
    ) -> Result<Streaming<ServerReflectionResponse>> {
        Ok(self.stream(questions))
    }
}

impl Known {
    fn answer(
        &self,
        question: ServerReflectionRequest,
        sent: &mut Sent,
    ) -> ServerReflectionResponse {
        if prost::Message::encoded_len(&question) > MAX_QUESTION_BYTES {
            let why = format!("a question has at most {MAX_QUESTION_BYTES} bytes");
            return ServerReflectionResponse {
                message_response: Some(failed(Code::ResourceExhausted, why)),
                ..ServerReflectionResponse::default()
            };
        }
        let response = match &question.message_request {
            None => failed(Code::InvalidArgument, "nothing was asked".to_owned()),
            Some(MessageRequest::ListServices(_)) => self.list(),
            Some(MessageRequest::FileByFilename(name)) => {
                self.file(self.files.named(name), sent, "file", name)
            }
            Some(MessageRequest::FileContainingSymbol(name)) => {
                self.file(self.files.declaring(name), sent, "symbol", name)
            }
            Some(MessageRequest::FileContainingExtension(ExtensionRequest {
                containing_type,
                extension_number,
            })) => {
                let file = self.files.extending(containing_type, *extension_number);
                let what = format!("extension {extension_number} of");
                self.file(file, sent, &what, containing_type)
            }
            Some(MessageRequest::AllExtensionNumbersOfType(name)) => {
                match self.files.extensions_of(name) {
                    Some(extension_number) => {
                        MessageResponse::Extensions(ExtensionNumberResponse {
                            base_type_name: name.clone(),
                            extension_number,
                        })
                    }
                    None => unknown("message", name),
                }
            }
        };
        ServerReflectionResponse {
            valid_host: question.host.clone(),
            original_request: Some(question),
            message_response: Some(response),
        }
    }

    fn list(&self) -> MessageResponse {
        let services = self.services.iter().map(|name| ServiceResponse {
            name: (*name).to_owned(),
        });
        MessageResponse::Services(ListServiceResponse {
            service: services.collect(),
        })
    }

    fn file(
        &self,
        found: Option<usize>,
        sent: &mut Sent,
        what: &str,
        name: &str,
    ) -> MessageResponse {
        let Some(file) = found else {
            return unknown(what, name);
        };
        let files = self.files.with_imports(file, sent, MAX_ANSWER_BYTES);
        if files.iter().any(|file| file.len() > MAX_FILE_BYTES) {
            let why = format!("the file has more than the {MAX_FILE_BYTES} bytes that can be sent");
            return failed(Code::ResourceExhausted, why);
        }
        MessageResponse::Files(FileDescriptorResponse {
            file_descriptor_proto: files,
        })
    }
}

fn unknown(what: &str, name: &str) -> MessageResponse {
    let name = &name[..name.floor_char_boundary(MAX_ECHO_BYTES)];
    failed(Code::NotFound, format!("no {what} {name:?} is known here"))
}

fn failed(code: Code, error_message: String) -> MessageResponse {
    MessageResponse::Error(ErrorResponse {
        error_code: code as i32,
        error_message,
    })
}

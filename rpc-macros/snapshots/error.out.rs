const _: () = {
    use ::blixard_rpc::codegen as __rpc;
    #[::blixard_rpc::message]
    enum BankErrorDetail {
        /// No such account.
        ///
        /// With the code `NOT_FOUND`.
        NoAccount { id: u64 },
        #[tag(7)]
        /// With the code `FAILED_PRECONDITION`.
        Broke(u64),
        /// With the code `UNKNOWN`.
        Closed {},
    }
    impl __rpc::Detailed for BankError {
        const PACKAGE: &'static str = "bank.v1";
        fn describe(schema: &mut __rpc::Schema) -> __rpc::String {
            <BankErrorDetail as __rpc::Message>::describe(schema)
        }
    }
    impl ::core::convert::From<BankError> for __rpc::Status {
        fn from(error: BankError) -> Self {
            let text = __rpc::text(&error);
            let (code, detail) = match error {
                BankError::NoAccount { id } => {
                    (__rpc::Code::NotFound, BankErrorDetail::NoAccount { id })
                }
                BankError::Broke(value) => {
                    (__rpc::Code::FailedPrecondition, BankErrorDetail::Broke(value))
                }
                BankError::Closed => (__rpc::Code::Unknown, BankErrorDetail::Closed {}),
                BankError::Other(status) => return status,
            };
            __rpc::with_detail(
                Self::new(code, text),
                "type.googleapis.com/bank.v1.BankErrorDetail",
                &detail,
            )
        }
    }
    impl ::core::convert::From<__rpc::Status> for BankError {
        fn from(status: __rpc::Status) -> Self {
            match __rpc::detail(&status, "type.googleapis.com/bank.v1.BankErrorDetail") {
                __rpc::Option::Some(BankErrorDetail::NoAccount { id }) => {
                    Self::NoAccount { id }
                }
                __rpc::Option::Some(BankErrorDetail::Broke(value)) => Self::Broke(value),
                __rpc::Option::Some(BankErrorDetail::Closed {}) => Self::Closed,
                __rpc::Option::None => Self::Other(status),
            }
        }
    }
    impl ::core::fmt::Display for BankError {
        #[allow(unused_variables)]
        fn fmt(&self, __f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
            match self {
                Self::NoAccount { id } => ::core::write!(__f, "no account {id}"),
                Self::Broke(value) => ::core::write!(__f, "{value} is missing"),
                Self::Closed => ::core::write!(__f, "closed"),
                Self::Other(status) => ::core::fmt::Display::fmt(status, __f),
            }
        }
    }
    impl ::core::error::Error for BankError {
        fn source(&self) -> __rpc::Option<&(dyn ::core::error::Error + 'static)> {
            match self {
                Self::Other(status) => ::core::error::Error::source(status),
                _ => __rpc::Option::None,
            }
        }
    }
};
const _: () = {
    use ::blixard_rpc::codegen as __rpc;
    impl ::core::convert::From<Plain> for __rpc::Status {
        fn from(error: Plain) -> Self {
            let Plain::Other(status) = error;
            status
        }
    }
    impl ::core::convert::From<__rpc::Status> for Plain {
        fn from(status: __rpc::Status) -> Self {
            Self::Other(status)
        }
    }
};

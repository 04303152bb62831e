//! The one list of all cases, and the macro that makes tests of it. What the cases do lives in `cases`.

/// Makes one test of each case of the conformance suite: `conformance!(name, connect)` in a test file of the transport.
///
/// `connect` is an async function from a [`Router`](crate::Router), which it serves, to a
/// [`Connected`](crate::testing::conformance::Connected) client. The tests are in a module `name`. See
/// [`testing::conformance`](crate::testing::conformance) for an example.
#[macro_export]
macro_rules! conformance {
    ($name:ident, $connect:expr) => {
        $crate::conformance! { @list tests super $name, $connect }
    };
    (@list $($how:tt)*) => {
        $crate::conformance! {
            @$($how)*;
            shapes:
                unary_gives_back_what_it_was_given
                unary_with_no_argument
                unary_with_several_arguments
                server_streaming_of_none_one_and_many
                client_streaming_of_none_one_and_many
                bidirectional_of_none_one_and_many
                oneway_arrives
                oneway_waits_for_no_handler
                empty_messages
                messages_of_every_size_class
                both_codecs_carry_every_kind_of_field;
            streams:
                ten_thousand_items_keep_their_order
                many_small_responses
                large_response_to_a_small_request
                small_response_to_a_large_request
                large_items_in_streams
                ping_pong
                a_server_speaks_first
                a_client_speaks_first
                half_close
                an_answer_before_the_requests_have_ended
                responses_that_end_before_the_requests
                a_stream_says_that_it_was_opened_before_its_first_item
                an_error_in_the_requests_is_the_result_of_the_call
                a_cut_request_stream_is_not_a_good_end;
            deadlines:
                unary
                of_large_requests_and_responses
                over_a_whole_response_stream
                over_a_stream_that_is_always_ready
                over_items_that_came_in_time
                over_a_whole_request_stream
                over_both_streams
                are_kept_by_the_server_too
                that_have_passed_begin_nothing
                that_have_passed_are_seen_by_the_server
                of_the_method_hold_unless_another_is_said
                are_what_the_handler_sees
                are_inherited
                of_the_handler_bound_longer_ones
                end_one_way_calls_at_the_server
                that_are_met_do_no_harm;
            cancel:
                a_dropped_call_drops_its_handler
                a_dropped_response_stream_drops_its_handler
                a_response_stream_dropped_unread_drops_its_handler
                a_dropped_call_with_requests_drops_its_handler
                a_call_with_requests_that_are_always_ready
                a_dropped_exchange_drops_its_handler
                a_dropped_exchange_that_was_not_answered
                of_one_call_leaves_the_others
                at_any_point
                of_five_hundred_calls_at_once
                frees_the_places_of_calls
                is_inherited
                never_follows_a_good_end;
            backpressure:
                a_slow_reader_stops_the_server
                a_slow_handler_stops_the_client
                an_exchange_is_stopped_by_either_side
                stalled_streams_stop_nobody_else
                large_messages_that_are_held_stop_nobody_else;
            limits:
                a_message_of_ten_mebibytes_passes_both_ways
                ten_mebibytes_pass_in_streams_both_ways
                one_byte_more_is_refused_as_a_request
                one_byte_more_is_refused_as_a_response
                of_a_method_hold_both_ways
                of_a_method_are_kept_by_the_server
                of_metadata_in_a_request
                of_metadata_in_a_response
                of_metadata_on_an_error_lose_the_metadata_and_not_the_error;
            errors:
                every_code_in_every_shape
                after_some_items
                in_the_middle_of_an_exchange
                before_the_answer_to_an_exchange_that_is_open
                while_the_requests_go_on
                keep_their_words
                keep_their_details
                keep_their_metadata
                of_the_services_own_come_back_as_they_were
                of_other_servers_are_the_handlers_own
                of_an_unknown_method
                of_an_unknown_service;
            metadata:
                of_a_request_reaches_the_handler
                of_a_response_reaches_the_caller
                of_a_large_answer_reaches_the_caller
                comes_with_the_head_and_with_the_end
                of_a_trace_is_inherited_and_nothing_else
                says_who_calls
                says_what_is_called_and_how_urgent_it_is;
            panics:
                before_the_answer
                after_a_wait
                in_a_response_stream
                of_a_one_way_handler
                leave_the_siblings;
            load:
                a_thousand_calls_in_mixed_shapes
                a_thousand_calls_that_all_wait
                five_thousand_callers
                three_thousand_streams;
        }
    };
    (@tests $up:tt $name:ident, $connect:expr; $($topic:ident: $($case:ident)*;)*) => {
        mod $name {
            #[allow(unused_imports, reason = "where `connect` is a path, it needs no import")]
            use $up::*;
            $(
                mod $topic {
                    #[allow(unused_imports, reason = "where `connect` is a path, it needs no import")]
                    use $up::*;
                    $(
                        #[test]
                        fn $case() {
                            let name = ::core::concat!(
                                ::core::stringify!($topic), "::", ::core::stringify!($case)
                            );
                            $crate::testing::conformance::run(name, $connect);
                        }
                    )*
                }
            )*
        }
    };
    (@table; $($topic:ident: $($case:ident)*;)*) => {
        &[$($(
            (
                ::core::concat!(::core::stringify!($topic), "::", ::core::stringify!($case)),
                |bed| ::std::boxed::Box::pin($topic::$case(bed)),
            ),
        )*)*]
    };
}

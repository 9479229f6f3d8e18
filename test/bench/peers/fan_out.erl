%% Erlang's side of the fan-out: reads a count a line, answers the nanoseconds of that many multicalls.
-module(fan_out).
-export([main/0]).

main() ->
    Nodes = [list_to_atom(Name) || Name <- string:lexemes(os:getenv("BENCH_NODES"), " ")],
    connect(Nodes),
    io:format("ready ~s~n", [erlang:system_info(otp_release)]),
    loop(Nodes).

connect(Nodes) ->
    case lists:all(fun(Node) -> net_adm:ping(Node) =:= pong end, Nodes) of
        true -> ok;
        false -> timer:sleep(100), connect(Nodes)
    end.

loop(Nodes) ->
    case io:get_line("") of
        eof -> halt(0);
        Line ->
            Count = list_to_integer(string:trim(Line)),
            io:format("~w~n", [[time(Nodes) || _ <- lists:seq(1, Count)]]),
            loop(Nodes)
    end.

time(Nodes) ->
    Start = erlang:monotonic_time(nanosecond),
    Results = erpc:multicall(Nodes, erlang, node, []),
    End = erlang:monotonic_time(nanosecond),
    Nodes = [Node || {ok, Node} <- Results],
    End - Start.

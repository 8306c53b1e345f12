DROP TRIGGER task_run_tally_inserted ON task_run;
DROP TRIGGER task_run_tally_finished ON task_run;
DROP FUNCTION tally_inserted_runs();
DROP FUNCTION tally_finished_runs();
DROP AGGREGATE histogram_sum(bigint[]);
DROP FUNCTION add_histograms(bigint[], bigint[]);
DROP FUNCTION duration_bucket(bigint);
